-- Publish every change of a lead to Hydrant, in the transaction that makes it (PostgreSQL 13 or later).
-- `leads` stands for your own table: what Hydrant needs of it is a key, a revision and the fields it is to fill.

CREATE TABLE leads (
    location_id text NOT NULL,
    lead_id text NOT NULL,
    revision bigint NOT NULL, -- the triggers' own; as last published
    contact_id text,
    email text,
    phone text,
    first_name text,
    last_name text,
    company_name text,
    website text,
    address text,
    city text,
    state text,
    postal_code text,
    country text,
    timezone text,
    source text,
    sentiment text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (location_id, lead_id)
);

-- One row, one event. A change data capture reads them from the write-ahead log, so they can go soon:
--   DELETE FROM hydrant_outbox WHERE created_at < (now() - interval '1 day') AT TIME ZONE 'UTC';
CREATE TABLE hydrant_outbox (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    topic text NOT NULL, -- with your prefix, if you use one
    key text NOT NULL, -- the location id (of a backfill: its request id)
    event jsonb NOT NULL, -- a CloudEvent in structured mode
    created_at timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC') -- becomes the record's timestamp: deadlines count from it
);

-- Grows with every change of a lead, also when it is deleted and made anew: the row's lock is held when it is drawn.
CREATE SEQUENCE lead_revision;

CREATE FUNCTION hydrant_time(moment timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$;

CREATE FUNCTION hydrant_publish(topic text, location text, kind text, subject text, data jsonb) RETURNS uuid
LANGUAGE sql AS $$
    WITH event AS (SELECT gen_random_uuid() AS id)
    INSERT INTO hydrant_outbox (id, topic, key, event)
    SELECT
        id, topic, location,
        jsonb_build_object(
            'specversion', '1.0', 'id', id, 'source', 'crm', 'type', kind,
            'time', hydrant_time(now()), 'subject', subject, 'partitionkey', location,
            'datacontenttype', 'application/json', 'dataschema', 'urn:hydrant:schema:' || kind, 'data', data
        )
    FROM event
    RETURNING id
$$;

-- An empty text is unknown. So is one that is too long: the whole event would be dead-lettered.
CREATE FUNCTION hydrant_text(entered text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT CASE WHEN length(entered) BETWEEN 1 AND 1024 THEN entered END $$;

-- The data of `lead.changed`: the lead as it now is, without what isn't known.
CREATE FUNCTION hydrant_snapshot(lead leads) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'location_id', lead.location_id,
        'lead_id', lead.lead_id,
        'revision', lead.revision,
        'contact_id', nullif(lead.contact_id, ''),
        'email', hydrant_text(lead.email),
        'phone', hydrant_text(lead.phone),
        'first_name', hydrant_text(lead.first_name),
        'last_name', hydrant_text(lead.last_name),
        'company_name', hydrant_text(lead.company_name),
        'website', hydrant_text(lead.website),
        'address', hydrant_text(lead.address),
        'city', hydrant_text(lead.city),
        'state', hydrant_text(lead.state),
        'postal_code', hydrant_text(lead.postal_code),
        'country', hydrant_text(lead.country),
        'timezone', hydrant_text(lead.timezone),
        'source', hydrant_text(lead.source),
        'sentiment', hydrant_text(lead.sentiment),
        'created_at', hydrant_time(lead.created_at)
    ))
$$;

-- A new revision where something changed that is published to Hydrant, else the old one.
CREATE FUNCTION lead_revise() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND hydrant_snapshot(OLD) - 'revision' = hydrant_snapshot(NEW) - 'revision' THEN
        NEW.revision := OLD.revision;
    ELSE
        NEW.revision := nextval('lead_revision');
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION lead_publish() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR TG_OP = 'UPDATE' AND (OLD.location_id, OLD.lead_id) <> (NEW.location_id, NEW.lead_id) THEN
        PERFORM hydrant_publish(
            'lead.changes', OLD.location_id, 'lead.deleted', OLD.lead_id,
            jsonb_build_object(
                'location_id', OLD.location_id, 'lead_id', OLD.lead_id, 'revision', nextval('lead_revision')
            )
        );
    END IF;
    IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE' AND OLD.revision <> NEW.revision THEN
        PERFORM hydrant_publish(
            'lead.changes', NEW.location_id, 'lead.changed', NEW.lead_id, hydrant_snapshot(NEW)
        );
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER lead_revise BEFORE INSERT OR UPDATE ON leads FOR EACH ROW EXECUTE FUNCTION lead_revise();
CREATE TRIGGER lead_publish AFTER INSERT OR UPDATE OR DELETE ON leads FOR EACH ROW EXECUTE FUNCTION lead_publish();

-- Leads from before the triggers, recorded by Hydrant without a call (TRUNCATE publishes nothing; neither does COPY before this point):
--   SELECT hydrant_publish('lead.changes', location_id, 'lead.changed', lead_id,
--                          hydrant_snapshot(lead) || '{"loading": true}') FROM leads AS lead;
-- A person pressed "Sync":
--   SELECT hydrant_publish('sync.requests', lead.location_id, 'sync.lead.requested', lead.lead_id,
--                          jsonb_build_object('request_id', gen_random_uuid(), 'location_id', lead.location_id,
--                                             'lead_id', lead.lead_id, 'lead', hydrant_snapshot(lead)))
--   FROM leads AS lead WHERE (location_id, lead_id) = ('location-1', 'lead-1');
