-- A Rails shop's tables: a native enum, UTC without a zone, foreign keys, a trigger that keeps versions. 200,000 orders are settled, and 300 are stuck.

create schema vendor;
create table vendor.users (id bigserial primary key, email varchar not null);
create unique index index_users_on_email on vendor.users (email);
create type vendor.order_status as enum ('pending', 'processing', 'succeeded', 'failed', 'refunded');
create table vendor.orders (
    id bigserial primary key, user_id bigint not null, order_number varchar not null, status vendor.order_status not null default 'pending',
    invoice_id varchar, product_name varchar, retail_price numeric(10, 2) not null, lock_version integer not null default 0,
    created_at timestamp(6) not null, updated_at timestamp(6) not null,
    constraint fk_rails_f868b47f6a foreign key (user_id) references vendor.users (id)
);
create table vendor.vendor_transaction_logs (
    id bigserial primary key, order_id bigint not null references vendor.orders, vendor_name varchar, request_body text, response_body text,
    status varchar, executed_at timestamp(6), created_at timestamp(6) not null, updated_at timestamp(6) not null
);
create table vendor.versions (id bigserial primary key, item_id bigint not null, event varchar not null, object jsonb);
insert into vendor.users (email) select n || '@shop.example' from generate_series(1, 1000) as n;
insert into vendor.orders (user_id, order_number, status, invoice_id, retail_price, created_at, updated_at)
select 1 + n % 1000, 'ORD-' || n,
    (case when n > 200000 then 'processing' else (array['succeeded', 'failed', 'pending', 'refunded'])[1 + n % 4] end)::vendor.order_status,
    case when n % 4 <> 2 or n > 200000 then '33375390' end, 0.73, at.utc, at.utc
from generate_series(1, 200300) as n,
    lateral (select now() at time zone 'UTC' - case when n > 200000 then interval '2 hours' else (200000 - n) * interval '1 minute' end) as at (utc);
insert into vendor.vendor_transaction_logs (order_id, vendor_name, request_body, status, executed_at, created_at, updated_at)
select o.id, 'status_check', '{}', 'processing', o.updated_at, o.updated_at, o.updated_at from vendor.orders as o where o.id > 200000;
create unique index index_orders_on_order_number on vendor.orders (order_number);
create index index_orders_on_user_id on vendor.orders (user_id);
create index index_orders_on_status_and_updated_at on vendor.orders (status, updated_at);
create function vendor.keep_version() returns trigger language plpgsql as $$
begin
    insert into vendor.versions (item_id, event, object) values (old.id, 'update', to_jsonb(old));
    new.lock_version := old.lock_version + 1;
    return new;
end $$;
create trigger keep_version before update on vendor.orders for each row execute function vendor.keep_version();
