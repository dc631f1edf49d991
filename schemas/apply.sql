-- Apply a `lead.synced` to your leads (those of outbox.sql; PostgreSQL 13 or later). Any number of times, in any order:
--   SELECT apply_lead_synced($1)  with the event's `data` as jsonb; true: the lead took part of it.

ALTER TABLE leads ADD COLUMN synced_sequence bigint NOT NULL DEFAULT 0; -- of the last result applied

-- A known field is never overwritten.
CREATE FUNCTION hydrant_known(stored text, learned text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT coalesce(nullif(stored, ''), learned) $$;

CREATE FUNCTION apply_lead_synced(result jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    changes jsonb := result -> 'changes';
    dead text := result #>> '{replaces,contact_id}';
    lead leads;
BEGIN
    SELECT * INTO lead FROM leads
    WHERE location_id = result ->> 'location_id' AND lead_id = result ->> 'lead_id'
        AND synced_sequence < (result ->> 'sequence')::bigint -- an older or equal result is ignored
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;

    -- The lead has changed since (it may be another person's by now): Hydrant publishes the rest again, of the newer revision.
    -- A dead link goes all the same.
    IF lead.revision > coalesce((result ->> 'revision')::bigint, 0) THEN
        changes := '{}';
    END IF;

    UPDATE leads SET
        synced_sequence = (result ->> 'sequence')::bigint,
        contact_id = CASE
            WHEN contact_id = dead THEN changes ->> 'contact_id' -- null when no successor was found
            ELSE hydrant_known(contact_id, changes ->> 'contact_id')
        END,
        email = hydrant_known(email, changes ->> 'email'),
        phone = hydrant_known(phone, changes ->> 'phone'),
        first_name = hydrant_known(first_name, changes ->> 'first_name'),
        last_name = hydrant_known(last_name, changes ->> 'last_name'),
        company_name = hydrant_known(company_name, changes ->> 'company_name'),
        website = hydrant_known(website, changes ->> 'website'),
        address = hydrant_known(address, changes ->> 'address'),
        city = hydrant_known(city, changes ->> 'city'),
        state = hydrant_known(state, changes ->> 'state'),
        postal_code = hydrant_known(postal_code, changes ->> 'postal_code'),
        country = hydrant_known(country, changes ->> 'country'),
        timezone = hydrant_known(timezone, changes ->> 'timezone')
    WHERE location_id = lead.location_id AND lead_id = lead.lead_id;
    RETURN true;
END $$;
