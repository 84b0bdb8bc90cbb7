#!/bin/sh
# Runs once, when the official image's entry point makes a new data folder: the extension, the roles and the schedules.
# With RECONCILE_SIDECAR_PASSWORD set, a login for the sidecar as well.
set -eu

database=${POSTGRES_DB:-${POSTGRES_USER:-postgres}}
query() { psql -v ON_ERROR_STOP=1 --no-password --no-psqlrc --username "${POSTGRES_USER:-postgres}" "$@"; }

query -d "$database" -c 'create extension if not exists pg_reconcile'
query -d "$database" -f /usr/share/pg_reconcile/migrations/001_roles.sql
# pg_cron lives in the database postgres, and reaches the others from there.
query -d postgres -v database="$database" -f /usr/share/pg_reconcile/migrations/002_schedules.sql

if [ -n "${RECONCILE_SIDECAR_PASSWORD:-}" ]; then
    # Read from the environment by psql itself, so that the password stands in no process list.
    printf '%s\n' '\set password `printf %s "$RECONCILE_SIDECAR_PASSWORD"`' \
        "create role sidecar login in role reconcile_sidecar password :'password';" |
        query -d "$database"
fi
