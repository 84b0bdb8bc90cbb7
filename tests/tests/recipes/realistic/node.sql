-- A Node shop's tables, as Sequelize makes them: two native enums, numbers beside ids, a trigger that touches. 200,000 orders are settled, and 300 are stuck.

create schema store;
create type store."enum_orders_status" as enum ('DRAFT', 'CONFIRMED', 'SHIPPED', 'CANCELLED');
create type store."enum_orders_payment_status" as enum ('PENDING', 'PAID', 'FAILED', 'EXPIRED');
create table store.products (id bigserial primary key, name varchar(255) not null, stock integer not null check (stock >= 0));
create table store.orders (
    id bigserial primary key, order_id varchar(255) not null, status store."enum_orders_status" default 'DRAFT',
    payment_status store."enum_orders_payment_status" default 'PENDING', merchant_transaction_id varchar(64), transaction_id varchar(64),
    amount decimal(12, 2) not null, shipping_address jsonb, created_at timestamptz not null, updated_at timestamptz not null
);
create table store.order_items (id bigserial primary key, order_id varchar(255) not null, product_id bigint not null references store.products,
    quantity integer not null);
insert into store.products (name, stock) select 'product ' || n, 1000 from generate_series(1, 20) as n;
insert into store.orders (order_id, status, payment_status, merchant_transaction_id, transaction_id, amount, created_at, updated_at)
select 'D-' || n, case when n > 200000 then 'DRAFT' when n % 4 = 0 then 'CANCELLED' else 'SHIPPED' end::store."enum_orders_status",
    case when n > 200000 then 'PENDING' when n % 4 = 0 then 'FAILED' else 'PAID' end::store."enum_orders_payment_status",
    'MT-' || n, case when n <= 200000 then 'T-' || n end, 499, at.time, at.time
from generate_series(1, 200300) as n,
    lateral (select now() - case when n > 200000 then interval '2 hours' else (200000 - n) * interval '1 minute' end) as at (time);
create unique index orders_order_id on store.orders (order_id);
alter table store.order_items add foreign key (order_id) references store.orders (order_id) on update cascade;
insert into store.order_items (order_id, product_id, quantity)
select o.order_id, 1 + (o.id + part) % 20, 1 from store.orders as o, generate_series(0, 1) as part where o.id > 199000;
create index order_items_order_id on store.order_items (order_id);
create function store.touch() returns trigger language plpgsql as $$ begin new.updated_at := clock_timestamp(); return new; end $$;
create trigger touch before update on store.orders for each row execute function store.touch();
