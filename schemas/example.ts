// Publish to Hydrant and read its results, with kafkajs 2. `npm install kafkajs pg`, types: `@types/node @types/pg`.

import { randomUUID } from "node:crypto";
import { Kafka, logLevel, type Producer } from "kafkajs";
import { Pool } from "pg";

type Known<T extends string> = T | (string & {}); // readers tolerate new values

interface CloudEvent<Type extends string, Data> {
  specversion: "1.0";
  id: string; // unique per source
  source: string;
  type: Type;
  time?: string; // RFC 3339
  subject?: string;
  partitionkey?: string;
  datacontenttype?: "application/json";
  dataschema?: string;
  data: Data;
}

type HydratableField =
  | "email"
  | "phone"
  | "first_name"
  | "last_name"
  | "company_name"
  | "website"
  | "address"
  | "city"
  | "state"
  | "postal_code"
  | "country"
  | "timezone";

interface LeadKey {
  location_id: string;
  lead_id: string;
}

// Absent, null and "" all mean "unknown".
interface LeadChanged extends LeadKey, Partial<Record<HydratableField, string | null>> {
  revision: number; // grows with every change
  contact_id?: string | null;
  source?: string | null;
  sentiment?: string | null;
  created_at?: string | null; // RFC 3339 in UTC
  loading?: boolean | null;
}

interface SyncLeadRequested extends LeadKey {
  request_id: string;
  lead?: LeadChanged | null;
  include_messages?: boolean | null; // true
  deadline_s?: number | null; // 1 to 3600; 120
  lane?: "interactive" | "change" | null; // interactive
}

interface LeadSynced extends LeadKey {
  revision: number | null;
  sequence: number;
  outcome: Known<"updated" | "unchanged" | "created" | "not_found" | "ambiguous" | "failed">;
  lead_updated: boolean;
  contact_id: string | null;
  changes: Partial<Record<Known<HydratableField | "contact_id">, string | null>>;
  replaces: { contact_id: string } | null;
  resolved_by: Known<"lead" | "webhook" | "search" | "scan" | "phone" | "create"> | null;
  hydrated_from: Known<"webhook" | "search" | "scan" | "contact"> | null;
  messages: Known<"imported" | "none" | "not_asked" | "failed">;
  messages_imported: number;
  calls: Record<string, number>;
  causes: { id: string; type: string; request_id?: string | null }[];
  reason: string | null;
  timings_ms: { queued: number; permit: number; network: number; total: number };
}

interface Inputs {
  "lead.changed": LeadChanged;
  "lead.deleted": LeadKey & { revision: number };
  "sync.lead.requested": SyncLeadRequested;
}

const topics: Record<keyof Inputs, string> = {
  "lead.changed": "lead.changes",
  "lead.deleted": "lead.changes",
  "sync.lead.requested": "sync.requests",
};

const prefix = process.env.KAFKA_TOPIC_PREFIX ?? "";
const brokers = (process.env.KAFKA_BOOTSTRAP_SERVERS ?? "localhost:9092").split(",");
const kafka = new Kafka({ clientId: "crm", brokers, logLevel: logLevel.WARN });

// Where there is no outbox. All events of a lead through one producer, awaited one after another: their order is theirs.
async function publish<Type extends keyof Inputs>(producer: Producer, type: Type, data: Inputs[Type]): Promise<void> {
  const event: CloudEvent<Type, Inputs[Type]> = {
    specversion: "1.0",
    id: randomUUID(),
    source: "crm",
    type,
    time: new Date().toISOString(),
    subject: data.lead_id,
    partitionkey: data.location_id,
    datacontenttype: "application/json",
    dataschema: `urn:hydrant:schema:${type}`,
    data,
  };
  // kafkajs 2 partitions by key as Kafka does. Clients on librdkafka need `partitioner: "murmur2_random"` for that.
  await producer.send({
    topic: prefix + topics[type],
    acks: -1,
    messages: [{ key: data.location_id, value: JSON.stringify(event) }],
  });
}

function isLeadSynced(event: CloudEvent<string, unknown>): event is CloudEvent<"lead.synced", LeadSynced> {
  return event.type === "lead.synced";
}

// A result may come twice: apply_lead_synced() of apply.sql doesn't mind.
async function applyResults(database: Pool): Promise<() => Promise<void>> {
  const consumer = kafka.consumer({ groupId: "crm-lead-updates", readUncommitted: false }); // isolation.level=read_committed
  await consumer.connect();
  await consumer.subscribe({ topics: [prefix + "lead.updates"], fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message }) => {
      if (message.value === null) return;
      const event = JSON.parse(message.value.toString()) as CloudEvent<string, unknown>;
      if (!isLeadSynced(event)) return; // a type of a later version
      await database.query("SELECT apply_lead_synced($1)", [JSON.stringify(event.data)]);
      for (const cause of event.data.causes) {
        if (cause.request_id) console.log(`request ${cause.request_id}: ${event.data.outcome} ${event.data.reason ?? ""}`);
      }
    },
  });
  return () => consumer.disconnect();
}

async function main(): Promise<void> {
  const database = new Pool(); // PGHOST, PGDATABASE, PGUSER, PGPASSWORD
  const disconnect = await applyResults(database);
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();

  const lead: LeadChanged = {
    location_id: "location-1",
    lead_id: "lead-1",
    revision: Date.now(), // yours will be a counter of the row
    email: "jane.doe@example.com",
  };
  await publish(producer, "lead.changed", lead);
  await publish(producer, "sync.lead.requested", {
    request_id: randomUUID(),
    location_id: lead.location_id,
    lead_id: lead.lead_id,
    lead, // topics have no order among each other: the request brings the lead along
    deadline_s: 30,
  });

  process.once("SIGINT", async () => {
    await Promise.all([producer.disconnect(), disconnect()]);
    await database.end();
  });
}

void main();
