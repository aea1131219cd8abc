create or replace function dict.feed_table(source text, feeding regclass, keys_function regprocedure, columns text[] default null)
returns void
language plpgsql as $$
declare
  s dict.feed_sources := dict.known_source(source);
  key_columns text[];
  image text := '%1$I::text';
  keys text;
  how text;
begin
  if not exists (select from pg_class c where c.oid = feeding and c.relkind in ('r', 'p')) then
    perform workflow.raise_error('DV_SOURCE_INVALID', 'Only a table can feed. Name the tables that the view reads.');
  end if;
  if not exists (
      select from pg_proc p join pg_class c on c.oid = feeding
      where p.oid = keys_function and p.pronargs = 1 and p.proargtypes[0] = c.reltype and p.prorettype = 'dict.key_ref'::regtype) then
    perform workflow.raise_error('DV_SOURCE_INVALID', format('The keys function must take a row of %s and return setof dict.key_ref.', feeding));
  end if;
  if columns is not null then
    select array_agg(a.attname::text order by a.attnum) into key_columns
    from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
    where i.indrelid = feeding and i.indisprimary;
    if key_columns is null or exists (
        select from unnest(columns) c
        where not exists (
          select from pg_attribute a
          where a.attrelid = feeding and a.attname = c and a.attnum > 0 and not a.attisdropped)) then
      perform workflow.raise_error('DV_SOURCE_INVALID', format('Columns can be named only for a table with a primary key, and must be columns of this table. Check %s.', feeding));
    end if;
    -- The primary key is included, so that two rows that exchange their values are noticed.
    select format('row(%s)::text', string_agg(distinct '%1$I.' || replace(quote_ident(c), '%', '%%'), ', ')) into image
    from unnest(key_columns || columns) c;
  end if;

  keys := format('select array_agg(distinct (k.participant, k.key_type, k.key)::dict.key_ref) from changed_rows r, %s(r::%s) k',
    keys_function::regproc, feeding);
  how := format($q$
    select array_agg(distinct (k.participant, k.key_type, k.key)::dict.key_ref) from (
      select k.* from old_rows r, %1$s(r::%2$s) k where not exists (select from new_rows o where %3$s = %4$s)
      union all
      select k.* from new_rows r, %1$s(r::%2$s) k where not exists (select from old_rows o where %3$s = %4$s)) k$q$,
    keys_function::regproc, feeding, format(image, 'r'), format(image, 'o'));
  execute format('create trigger %I after insert on %s referencing new table as new_rows for each statement execute function dict.feed_changed(%L, %L)',
    'dict_vsync_' || s.name || '_insert', feeding, s.name, keys);
  execute format('create trigger %I after update on %s referencing old table as old_rows new table as new_rows for each statement execute function dict.feed_changed(%L, %L)',
    'dict_vsync_' || s.name || '_update', feeding, s.name, how);
  execute format('create trigger %I after delete on %s referencing old table as old_rows for each statement execute function dict.feed_changed(%L, %L)',
    'dict_vsync_' || s.name || '_delete', feeding, s.name, keys);
  execute format('create trigger %I after truncate on %s for each statement execute function dict.feed_changed(%L)',
    'dict_vsync_' || s.name || '_truncate', feeding, s.name);
  insert into dict.feed_tables (source, table_name, keys_function, columns)
  values (s.name, feeding::text, keys_function::text, feed_table.columns);
  update dict.feed_sources f set several_tables = (select count(*) > 1 from dict.feed_tables t where t.source = f.name)
  where f.name = s.name;
end $$;
comment on function dict.feed_table(text, regclass, regprocedure, text[]) is
  'Lets a table feed a source: keys_function(row) returns the keys that a row affects (setof dict.key_ref). columns: an update feeds only if one of these changed (default: any column; needs a primary key). Waits once for the table''s writers. Errors: DV_SOURCE_UNKNOWN, DV_SOURCE_INVALID.';
