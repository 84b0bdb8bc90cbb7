-- A provider is a row: added with defaults, altered field by field, cleared, paused and resumed; every version is kept.
select reconcile.add_provider('vendor', 'https://api.vendor.example/orders/{order_number}', '{"paid": "succeeded", "declined": "failed"}');

-- What was left out has its default.
\x on
table reconcile.providers;
\x off

-- The same name again is an error, and so is a name that nobody added.
select reconcile.add_provider('vendor', 'https://api.vendor.example/{order_number}', '{"paid": "succeeded"}');
select reconcile.alter_provider('nobody', timeout => '3 s');
select reconcile.alter_provider(null, timeout => '3 s');
select reconcile.add_provider('vendor', 'https://api.vendor.example/{order_number}', null);

-- What is given changes, and the rest stays. A NULL is not given; clear empties a field that may be empty.
select reconcile.alter_provider('vendor', auth => '{"kind": "bearer", "secret": "VENDOR_TOKEN"}', timeout => '3 s', rate_limit => 100);
select reconcile.alter_provider('vendor', reference_path => '$.invoice.id', timeout => null);
select reconcile.alter_provider('vendor', clear => '{deadline, rate_limit}');
select reconcile.alter_provider('vendor', clear => '{url}');
-- A function can't tell a NULL from what is left out; a call that gives nothing else is refused, and says how it is done.
select reconcile.alter_provider('vendor', deadline => null);
select reconcile.alter_provider('vendor');
select reconcile.alter_provider('vendor', clear => '{deadline, no_such_field}');
select version, settings ->> 'auth' as auth, settings ->> 'timeout' as timeout, settings ->> 'rate_limit' as rate_limit,
    settings ->> 'deadline' as deadline, settings ->> 'reference_path' as reference_path, changed_by
from reconcile.provider_versions order by version;

-- A pause needs a reason, and is seen in the health and in the alerts. A second pause keeps the first one's time.
select reconcile.pause_provider('vendor', ' ');
select reconcile.pause_provider('nobody', 'maintenance');
select reconcile.pause_provider('vendor', 'maintenance until noon');
select paused_at from reconcile.providers \gset
select reconcile.pause_provider('vendor', 'maintenance until one');
select name, health, paused_at = :'paused_at' as since_the_first, paused_by, paused_reason from reconcile.provider_health;
select severity, subject, message from reconcile.alerts where alert = 'provider_paused';
select reconcile.resume_provider('vendor');
select name, version, health, paused_at, paused_by, paused_reason from reconcile.provider_health;
select count(*) from reconcile.alerts where alert = 'provider_paused';
select reconcile.resume_provider('nobody');

-- One that nothing depends on can be removed, and its name is free; of any other it is said what is in the way.
select reconcile.track_order('ORD-1', 'vendor');
select reconcile.record_webhook('vendor', 'evt_1', '{}', 'ORD-1');
select reconcile.add_endpoint('shop', 'https://shop.example/hooks', 'SHOP_EVENTS', provider => 'vendor');
select reconcile.remove_provider('vendor');
select reconcile.add_provider('mistake', 'https://api.vendor.example/{order_number}', '{"paid": "succeeded"}');
select reconcile.alter_provider('mistake', timeout => '3 s');
select reconcile.remove_provider('mistake');
select reconcile.remove_provider('mistake');
select reconcile.add_provider('mistake', 'https://api.vendor.example/{order_number}', '{"paid": "succeeded"}');
select name, version from reconcile.provider_health order by name;
