//! Ho

mod more_rights;

use anyhow::Result;
use reconcile_tests::cluster::Contents;

use crate::cluster;

/// The extension's members: class and object ids.
const MEMBERS: &str = "
    with member as (
        select d.classid, d.objid
        from pg_depend as d
        join pg_extension as e on d.refclassid = 'pg_extension'::regclass and d.refobjid = e.oid and d.deptype = 'e'
        where e.extname = 'pg_reconcile'
    ) ";

/// What a query finds, as text; it should be nothing. The count of members shows that the query looked at something.
async fn found(database: &str, query: &str) -> Result<Vec<String>> {
    let client = cluster().await?.existing(database).connect().await?;
    let members = client
        .query_one(&format!("{MEMBERS} select count(*) from member"), &[])
        .await?;
    assert!(members.get::<_, i64>(0) > 50);
    let rows = client.query(&format!("{MEMBERS} {query}"), &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

#[tokio::test]
async fn every_function_table_view_type_and_column_has_a_comment() -> Result<()> {
    cluster()
        .await?
        .database("commented", Contents::Extension)
        .await?;
    let without = found(
        "commented",
        "select pg_describe_object(m.classid, m.objid, 0)
         from member as m
         left join pg_class as c on m.classid = 'pg_class'::regclass and c.oid = m.objid
         where m.classid in ('pg_proc'::regclass, 'pg_type'::regclass, 'pg_namespace'::regclass, 'pg_class'::regclass)
           and c.relkind is distinct from 'S'
           and coalesce(obj_description(m.objid, m.classid::regclass::name), '') = ''
           -- A type's comment may be that of its relation.
           and not (m.classid = 'pg_type'::regclass
               and obj_description((select typrelid from pg_type where oid = m.objid), 'pg_class') <> '')
         union all
         select pg_describe_object('pg_class'::regclass, c.oid, a.attnum)
         from pg_class as c
         join pg_namespace as n on n.oid = c.relnamespace
         join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
         where n.nspname ~ '^reconcile' and c.relkind in ('r', 'p', 'v', 'c') and not c.relispartition
           and coalesce(col_description(c.oid, a.attnum), '') = ''",
    )
    .await?;
    assert_eq!(without, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn every_function_that_is_not_c_pins_its_search_path() -> Result<()> {
    cluster()
        .await?
        .database("pinned", Contents::Extension)
        .await?;
    let loose = found(
        "pinned",
        "select p.oid::regprocedure::text
         from member as m
         join pg_proc as p on m.classid = 'pg_proc'::regclass and p.oid = m.objid
         join pg_language as l on l.oid = p.prolang
         -- A procedure that commits can't: it says the schema of everything instead.
         where p.prokind <> 'p' and l.lanname <> 'c' and 'search_path=pg_catalog, pg_temp' <> all (coalesce(p.proconfig, '{}'))
            or l.lanname = 'c' and (p.proconfig is not null or p.prosecdef)",
    )
    .await?;
    assert_eq!(loose, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn public_is_given_nothing() -> Result<()> {
    cluster()
        .await?
        .database("unshared", Contents::Extension)
        .await?;
    let given = found(
        "unshared",
        "select format('%s: %s', pg_describe_object(m.classid, m.objid, 0), acl.privilege_type)
         from member as m
         left join pg_proc as p on m.classid = 'pg_proc'::regclass and p.oid = m.objid
         left join pg_class as c on m.classid = 'pg_class'::regclass and c.oid = m.objid
         left join pg_namespace as n on m.classid = 'pg_namespace'::regclass and n.oid = m.objid
         left join pg_type as t on m.classid = 'pg_type'::regclass and t.oid = m.objid
         cross join lateral aclexplode(case
             when p.oid is not null then coalesce(p.proacl, acldefault('f', p.proowner))
             when c.oid is not null then coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's' else 'r' end::\"char\", c.relowner))
             when n.oid is not null then coalesce(n.nspacl, acldefault('n', n.nspowner))
             when t.oid is not null then coalesce(t.typacl, acldefault('T', t.typowner))
         end) as acl
         where acl.grantee = 0
         union all
         select format('%s: %s', c.oid::regclass, a.attname)
         from member as m
         join pg_class as c on m.classid = 'pg_class'::regclass and c.oid = m.objid
         join pg_attribute as a on a.attrelid = c.oid
         cross join lateral aclexplode(a.attacl) as acl
         where acl.grantee = 0",
    )
    .await?;
    assert_eq!(given, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn all_but_the_three_calls_is_in_schemas_of_its_own_and_all_in_them_is_the_extensions()
-> Result<()> {
    cluster()
        .await?
        .database("in_place", Contents::Extension)
        .await?;
    let elsewhere = found(
        "in_place",
        "select replace(i.identity, 'pg_catalog.', '')
         from member as m
         cross join lateral pg_identify_object(m.classid, m.objid, 0) as i
         where i.schema !~ '^reconcile(_internal|_doors)?$' order by 1",
    )
    .await?;
    assert_eq!(
        elsewhere,
        [
            "public.order_details(text,interval)",
            "public.reconcile_order(text,interval,boolean)",
            "public.reconcile_stale_orders(integer,interval,text,timestamp with time zone,timestamp with time zone)",
        ]
    );
    let astray = found(
        "in_place",
        "select pg_describe_object('pg_class'::regclass, c.oid, 0)
         from pg_class as c
         where c.relnamespace::regnamespace::text ~ '^reconcile' and c.relkind not in ('i', 'I', 't')
           and not exists (select from member as m where m.classid = 'pg_class'::regclass and m.objid = c.oid)
           and not exists (select from pg_type as t join member as m on m.objid = t.oid where t.typrelid = c.oid)
         union all
         select p.oid::regprocedure::text
         from pg_proc as p
         where p.pronamespace::regnamespace::text ~ '^reconcile'
           and not exists (select from member as m where m.classid = 'pg_proc'::regclass and m.objid = p.oid)",
    )
    .await?;
    assert_eq!(astray, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn everything_belongs_to_a_role_that_can_do_nothing_else() -> Result<()> {
    cluster()
        .await?
        .database("owned", Contents::Extension)
        .await?;
    let astray = found(
        "owned",
        "select pg_describe_object(m.classid, m.objid, 0)
         from member as m
         left join pg_proc as p on m.classid = 'pg_proc'::regclass and p.oid = m.objid
         left join pg_class as c on m.classid = 'pg_class'::regclass and c.oid = m.objid
         left join pg_namespace as n on m.classid = 'pg_namespace'::regclass and n.oid = m.objid
         left join pg_type as t on m.classid = 'pg_type'::regclass and t.oid = m.objid
         where coalesce(p.proowner, c.relowner, n.nspowner, t.typowner) <> 'reconcile_owner'::regrole
         union all
         select 'the role: ' || r.rolname from pg_roles as r
         where r.rolname = 'reconcile_owner'
           and (r.rolcanlogin or r.rolsuper or r.rolcreaterole or r.rolcreatedb or r.rolreplication or r.rolbypassrls)
         union all
         select 'member of it: ' || m.member::regrole from pg_auth_members as m where m.roleid = 'reconcile_owner'::regrole
         union all
         select 'it is member of: ' || m.roleid::regrole from pg_auth_members as m
         where m.member = 'reconcile_owner'::regrole and m.roleid <> 'pg_read_all_stats'::regrole",
    )
    .await?;
    assert_eq!(astray, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn what_people_call_is_all_that_df_shows_them() -> Result<()> {
    cluster()
        .await?
        .database("apart", Contents::Extension)
        .await?;
    let reached = found(
        "apart",
        "select p.oid::regprocedure::text from member as m
         join pg_proc as p on m.classid = 'pg_proc'::regclass and p.oid = m.objid
         where p.pronamespace = 'reconcile'::regnamespace and p.proname ~ '^_'
         union all
         select r.rolname || ' uses ' || n.nspname from pg_roles as r, pg_namespace as n
         where n.nspname in ('reconcile_internal', 'reconcile_generated') and not r.rolsuper and r.rolname <> 'reconcile_owner'
           -- These two may name things in every schema: what is made for an owner refuses to run as another role.
           and r.rolname not in ('pg_read_all_data', 'pg_write_all_data')
           and has_schema_privilege(r.oid, n.oid, 'usage')
         union all
         select r.rolname || ' makes things in ' || n.nspname from pg_roles as r, pg_namespace as n
         where n.nspname ~ '^reconcile' and not r.rolsuper and r.rolname <> 'reconcile_owner'
           and has_schema_privilege(r.oid, n.oid, 'create')",
    )
    .await?;
    assert_eq!(reached, [""; 0]);
    Ok(())
}
