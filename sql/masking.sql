-- Texts for people that quote what others have said: masked first and cut then, so that no half of a secret is left over.
-- Requires: audit.

create function reconcile_internal._masked(p_text text, p_never_kept text[], p_length integer) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
declare
    -- What is longer is not looked through: only its beginning is kept.
    v_read constant text := left(p_text, 65536);
begin
    return left(coalesce(reconcile_internal.redact_text(v_read, coalesce(p_never_kept, '{}')), v_read), p_length);
end
$$;

comment on function reconcile_internal._masked(text, text[], integer) is
    'The first characters of a text, with what is sensitive in it masked before it is cut, also by these names.';
