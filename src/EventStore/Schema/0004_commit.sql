-- One call commits what many callers decided. All or nothing: whatever does not hold raises PL001 (or a unique violation, when another
-- transaction was faster), the caller asks which unit it was and sends the others again. Sequence numbers are drawn in the last statement, when
-- nothing can be refused any more, so a refusal leaves no hole in them.
--
-- Arrays come sorted by (tenant, id), and plans are nested loops in array order, so that two calls lock rows in the same order.
--
-- A call ends with the last parameter that it has something for: the rest are empty. Most calls have streams and events only, some messages. The committer's
-- session plans as said above (generic plans; no sequential scans, hash and merge joins), which costs less than settings of the function.
create function {schema}.pl_commit(
    -- streams that must not exist
    n_tenant varchar[], n_id uuid[], n_type varchar[], n_version bigint[], n_time timestamptz[],
    -- streams that must be at a version, and go to another
    x_tenant varchar[], x_id uuid[], x_expected bigint[], x_version bigint[], x_time timestamptz[],
    -- events; e_any (below, empty when a_* is) names the stream in a_*, whose version is added then
    e_id uuid[], e_tenant varchar[], e_stream uuid[], e_version bigint[], e_data jsonb[], e_type varchar[], e_dotnet varchar[], e_time timestamptz[],
    e_correlation varchar[], e_causation varchar[], e_headers jsonb[],
    -- messages that are handled now
    h_tenant varchar[] default '{}', h_id uuid[] default '{}', h_owner bigint[] default '{}',
    -- messages that leave
    m_tenant varchar[] default '{}', m_id uuid[] default '{}', m_type varchar[] default '{}', m_key varchar[] default '{}', m_body text[] default '{}',
    m_correlation varchar[] default '{}', m_causation varchar[] default '{}', m_headers jsonb[] default '{}',
    m_due timestamptz[] default '{}', m_owner bigint[] default '{}', m_time timestamptz[] default '{}',
    -- commands from outside
    i_tenant varchar[] default '{}', i_command varchar[] default '{}', i_hash bytea[] default '{}', i_answer bytea[] default '{}', i_time timestamptz[] default '{}',
    -- streams that must be at a version (0: must not exist) and stay there
    k_tenant varchar[] default '{}', k_id uuid[] default '{}', k_expected bigint[] default '{}',
    -- streams that may be at any version
    a_tenant varchar[] default '{}', a_id uuid[] default '{}', a_type varchar[] default '{}', a_count bigint[] default '{}', a_time timestamptz[] default '{}',
    e_any integer[] default '{}'
) returns void language plpgsql as $function$
declare
    touched bigint;
    base bigint;
    bases bigint[];
begin
    if cardinality(n_id) > 0 then
        insert into {schema}.mt_streams (tenant_id, id, type, version, timestamp, created, is_archived)
        select tenant, id, type, version, time, time, false from unnest(n_tenant, n_id, n_type, n_version, n_time) as n (tenant, id, type, version, time);
    end if;

    if cardinality(x_id) > 0 then
        update {schema}.mt_streams s set version = x.version, timestamp = x.time
        from unnest(x_tenant, x_id, x_expected, x_version, x_time) as x (tenant, id, expected, version, time)
        where s.tenant_id = x.tenant and s.id = x.id and s.version = x.expected and not coalesce(s.is_archived, false);
        get diagnostics touched = row_count;
        if touched <> cardinality(x_id) then raise exception 'stream version' using errcode = 'PL001'; end if;
    end if;

    if cardinality(k_id) > 0 then
        perform from unnest(k_tenant, k_id) as k (tenant, id) join {schema}.mt_streams s on s.tenant_id = k.tenant and s.id = k.id for share of s;
        if exists (
            select from unnest(k_tenant, k_id, k_expected) as k (tenant, id, expected)
            left join {schema}.mt_streams s on s.tenant_id = k.tenant and s.id = k.id
            where coalesce(s.version, 0) <> k.expected) then
            raise exception 'stream version' using errcode = 'PL001';
        end if;
    end if;

    if cardinality(a_id) > 0 then
        for i in 1 .. cardinality(a_id) loop
            insert into {schema}.mt_streams as s (tenant_id, id, type, version, timestamp, created, is_archived)
            values (a_tenant[i], a_id[i], a_type[i], a_count[i], a_time[i], a_time[i], false)
            on conflict (tenant_id, id) do update set version = s.version + a_count[i], timestamp = a_time[i] where not coalesce(s.is_archived, false)
            returning s.version - a_count[i] into base;
            if not found then raise exception 'stream archived' using errcode = 'PL001'; end if;
            bases[i] := base;
        end loop;
        select array_agg(version + coalesce(bases[any_stream], 0) order by n) into e_version
        from unnest(e_version, e_any) with ordinality as e (version, any_stream, n);
    end if;

    if cardinality(h_id) > 0 then
        delete from {schema}.pl_messages m using unnest(h_tenant, h_id, h_owner) as h (tenant, id, owner)
        where m.tenant_id = h.tenant and m.id = h.id and m.owner = h.owner;
        get diagnostics touched = row_count;
        if touched <> cardinality(h_id) then raise exception 'message owner' using errcode = 'PL001'; end if;
    end if;

    if cardinality(i_command) > 0 then
        insert into {schema}.pl_inbox (tenant_id, command_id, request_hash, answer, recorded_at)
        select * from unnest(i_tenant, i_command, i_hash, i_answer, i_time);
    end if;

    if cardinality(m_id) > 0 then
        -- A cascade's id is derived from its cause: what is there already is the same message.
        insert into {schema}.pl_messages (tenant_id, id, type, key, body, correlation_id, causation_id, headers, due_at, owner, enqueued_at)
        select * from unnest(m_tenant, m_id, m_type, m_key, m_body, m_correlation, m_causation, m_headers, m_due, m_owner, m_time)
        on conflict (tenant_id, id) do nothing;
    end if;

    if cardinality(e_id) > 0 then
        insert into {schema}.mt_events (seq_id, id, stream_id, version, data, type, timestamp, tenant_id, mt_dotnet_type, correlation_id, causation_id, headers, is_archived)
        select nextval('{schema}.mt_events_sequence'::regclass), id, stream, version, data, type, time, tenant, dotnet, correlation, causation, headers, false
        from unnest(e_id, e_tenant, e_stream, e_version, e_data, e_type, e_dotnet, e_time, e_correlation, e_causation, e_headers)
            as e (id, tenant, stream, version, data, type, dotnet, time, correlation, causation, headers);
    end if;
end
$function$;

-- For a statement of its own: raises what pl_commit raises. Stable, so that it is asked once, before the rows of the statement are made.
create function {schema}.pl_hold(counted bigint, wanted bigint) returns boolean language plpgsql stable as $function$
begin
    if counted <> wanted then raise exception 'stream version' using errcode = 'PL001'; end if;
    return true;
end
$function$;
