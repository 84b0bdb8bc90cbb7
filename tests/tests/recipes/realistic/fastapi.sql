-- A FastAPI shop's tables, as SQLAlchemy makes them: native enums, json that may be NULL, UTC without a zone. 200,000 orders are settled, and 300 are stuck.

create schema shop;
create type shop.paymentstatus as enum ('PENDING', 'COMPLETED', 'FAILED', 'REFUNDED');
create type shop.orderstatus as enum ('PENDING', 'CONFIRMED', 'SHIPPED', 'DELIVERED', 'CANCELLED');
create table shop.users (id bigserial primary key, phone varchar(20) not null unique);
create table shop.orders (
    id bigserial primary key, user_id bigint not null, payment_status shop.paymentstatus not null, order_status shop.orderstatus not null,
    total_amount double precision not null, created_at timestamp not null, updated_at timestamp
);
create table shop.payments (
    id bigserial primary key, order_id bigint not null, payment_status shop.paymentstatus not null, transaction_id varchar,
    payment_method varchar, additional_info json, created_at timestamp not null
);
insert into shop.users (phone) select '+91' || n from generate_series(1, 1000) as n;
insert into shop.orders (user_id, payment_status, order_status, total_amount, created_at)
select 1 + n % 1000, (case when n > 200000 then 'PENDING' when n % 7 = 0 then 'FAILED' else 'COMPLETED' end)::shop.paymentstatus,
    (case when n > 200000 then 'PENDING' when n % 7 = 0 then 'CANCELLED' else 'DELIVERED' end)::shop.orderstatus, 99.5,
    now() at time zone 'UTC' - case when n > 200000 then interval '2 hours' else (200000 - n) * interval '1 minute' end
from generate_series(1, 200300) as n;
insert into shop.payments (order_id, payment_status, transaction_id, additional_info, created_at)
select id, payment_status, case when id <= 200000 then 'TXN-' || id end,
    case when id % 2 = 0 then '{"redirect_url": "https://pay.example"}'::json end, created_at from shop.orders;
create index ix_orders_user_id on shop.orders (user_id);
create unique index ix_payments_order_id on shop.payments (order_id);
alter table shop.orders add foreign key (user_id) references shop.users (id);
alter table shop.payments add foreign key (order_id) references shop.orders (id) on delete cascade;
create function shop.touch() returns trigger language plpgsql as $$ begin new.updated_at := now() at time zone 'utc'; return new; end $$;
create trigger touch before update on shop.orders for each row execute function shop.touch();
