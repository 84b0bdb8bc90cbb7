//! The carriers that hang on a table: what runs when its rows are read, written, checked or compared.

use crate::carriers::{Carrier, carrier, coded, later, shaped};

/// Runs again in the same transaction, after whoever looks at deferred constraints has looked.
const AGAIN: &str = "
    create function carrier.defers() returns trigger language plpgsql as $$
        begin
            perform carrier.probe('deferred again');
            set constraints all deferred;
            if tg_table_name <> 'again' then
                insert into carrier.again values (1);
            elsif new.nr < 3 then
                insert into carrier.again values (new.nr + 1);
            end if;
            return null;
        end $$;
    create constraint trigger defers after insert on carrier.again deferrable initially deferred
        for each row execute function carrier.defers()";

/// See the module.
pub(crate) fn all() -> Vec<Carrier> {
    vec![
        Carrier { bites: false, ..carrier("none") },
        shaped("row trigger", "create trigger code before insert or update or delete on carrier.%T for each row execute function carrier.row_probe()"),
        shaped("statement trigger", "create trigger code after insert or update or delete on carrier.%T for each statement execute function carrier.row_probe()"),
        shaped("deferred trigger", "create constraint trigger code after insert or update on carrier.%T deferrable initially deferred for each row execute function carrier.row_probe()"),
        Carrier {
            shape: "create constraint trigger code after insert or update on carrier.%T deferrable initially deferred for each row execute function carrier.defers()",
            ..coded("deferred again", AGAIN)
        },
        Carrier {
            shape: "create trigger code before update on carrier.%T for each row execute function carrier.holds()",
            ..coded("held cursor in a trigger", "create function carrier.holds() returns trigger language plpgsql as $$ begin perform carrier.hold('trigger'); return new; end $$")
        },
        shaped("held cursor in a policy", "alter table carrier.%T enable row level security; alter table carrier.%T force row level security; create policy code on carrier.%T using (carrier.hold('policy'))"),
        shaped("policy", "alter table carrier.%T enable row level security; alter table carrier.%T force row level security; create policy code on carrier.%T using (carrier.probe('policy'))"),
        shaped("column default", "alter table carrier.%T add made text; alter table carrier.%T alter made set default carrier.fixed_probe('default')"),
        shaped("generated column", "alter table carrier.%T add made text generated always as (carrier.fixed_probe('generated ' || status)) stored"),
        Carrier {
            shape: "alter table carrier.%T alter status type carrier.word",
            ..coded("domain check", "create domain carrier.word as text check (carrier.fixed_probe('domain') = 'x')")
        },
        Carrier {
            shape: "alter table carrier.%T alter status type carrier.word using status::carrier.word",
            ..coded("cast to text", "
                create type carrier.word as enum ('open', 'processing', 'paid', 'PAID', 'moved');
                create function carrier.said(carrier.word) returns text language plpgsql as $$ begin perform carrier.probe('cast'); return enum_out($1)::text; end $$;
                create cast (carrier.word as text) with function carrier.said(carrier.word) as assignment")
        },
        shaped("index expression", "create index on carrier.%T (carrier.fixed_probe('index ' || status))"),
        shaped("check constraint", "alter table carrier.%T add check (carrier.probe('check'))"),
        Carrier { bites: false, ..later("view in place of a table", "alter table carrier.%T rename to %T_before; create view carrier.%T as select * from carrier.%T_before where carrier.probe('view')") },
        later("rewrite rule", "create rule code as on update to carrier.%T do also select carrier.probe('rule')"),
        later("table with a parent's child", "create table carrier.%T_child (check (carrier.probe('child'))) inherits (carrier.%T); insert into carrier.%T_child (number, status) values ('C', 'processing')"),
        Carrier {
            by_dba: "
                create function carrier.inherited() returns trigger language plpgsql as $$ begin perform carrier.probe('heir''s trigger', 'carrier_heir'); return new; end $$;
                alter function carrier.inherited() owner to carrier_heir; grant all on schema carrier to carrier_heir;
                create trigger code before update on carrier.orders for each row execute function carrier.inherited();
                create trigger code before update on carrier.sales for each row execute function carrier.inherited();
                alter table carrier.orders owner to carrier_heir; alter table carrier.sales owner to carrier_heir; alter table carrier.payments owner to carrier_heir;
                grant all on all tables in schema carrier to carrier_owner",
            bites: false,
            ..carrier("owner changed")
        },
    ]
}
