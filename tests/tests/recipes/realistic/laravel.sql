-- A Laravel academy's tables: timestamp(0) in UTC, enums as checks, foreign keys. 200,000 orders are settled, and 300 are stuck.

create schema academy;
create table academy.users (id bigserial primary key, name varchar(255) not null);
create table academy.courses (id bigserial primary key, title varchar(255) not null);
create table academy.orders (
    id bigserial primary key, user_id bigint not null, course_id bigint not null, order_number varchar(255) not null,
    status varchar(255) not null default 'pending', total_amount decimal(8, 2) not null, currency varchar(3) not null default 'USD',
    created_at timestamp(0), updated_at timestamp(0), deleted_at timestamp(0),
    constraint orders_status_check check (status::text = any (array['pending'::varchar, 'completed'::varchar, 'failed'::varchar]::text[]))
);
create table academy.transactions (
    id bigserial primary key, transaction_id char(36) not null, order_id bigint not null, status varchar(255) not null,
    amount decimal(8, 2) not null, currency varchar(3) not null default 'USD', gateway_response json,
    created_at timestamp(0), updated_at timestamp(0)
);
insert into academy.users (name) select 'user ' || n from generate_series(1, 1000) as n;
insert into academy.courses (title) select 'course ' || n from generate_series(1, 50) as n;
insert into academy.orders (user_id, course_id, order_number, status, total_amount, created_at, updated_at)
select 1 + n % 1000, 1 + n % 50, 'A-' || n, case when n > 200000 then 'pending' when n % 5 = 0 then 'failed' else 'completed' end, 49.90, at.utc, at.utc
from generate_series(1, 200300) as n,
    lateral (select now() at time zone 'UTC' - case when n > 200000 then interval '2 hours' else (200000 - n) * interval '1 minute' end) as at (utc);
insert into academy.transactions (transaction_id, order_id, status, amount, gateway_response)
select gen_random_uuid(), id, case when id % 5 = 0 then 'failed' else 'completed' end, 49.90, '{"ok": true}' from academy.orders where id <= 200000;
insert into academy.transactions (transaction_id, order_id, status, amount)
select gen_random_uuid(), id, status.word, 49.90 from academy.orders, unnest(array['failed', 'completed']) as status (word)
where id > 200000 and (id % 3 <> 0 or status.word = 'failed');
create index orders_user_id_index on academy.orders (user_id);
create unique index orders_order_number_unique on academy.orders (order_number);
create index transactions_order_id_index on academy.transactions (order_id);
alter table academy.orders add constraint orders_user_id_foreign foreign key (user_id) references academy.users (id) on delete cascade,
    add constraint orders_course_id_foreign foreign key (course_id) references academy.courses (id);
alter table academy.transactions add constraint transactions_order_id_foreign foreign key (order_id) references academy.orders (id) on delete cascade;
create table academy.enrolments (id bigserial primary key, user_id bigint not null references academy.users, course_id bigint not null references academy.courses,
    order_id bigint unique references academy.orders, created_at timestamp(0), updated_at timestamp(0));
create table academy.subscriptions (id bigserial primary key, user_id bigint not null unique references academy.users, active boolean not null default false,
    order_id bigint references academy.orders);
