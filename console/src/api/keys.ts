/** The keys of cached queries. A change invalidates the shortest key that covers it: `keys.workflows.all`. */
export const keys = {
  me: ["me"] as const,
  config: ["config"] as const,
  nodeTypes: ["node-types"] as const,
  workflows: {
    all: ["workflows"] as const,
    list: (filter: object = {}) => ["workflows", "list", filter] as const,
    one: (id: string) => ["workflows", "one", id] as const,
    versions: (id: string) => ["workflows", "one", id, "versions"] as const,
    metrics: (id: string) => ["workflows", "one", id, "metrics"] as const,
  },
  runs: {
    all: ["runs"] as const,
    lists: ["runs", "list"] as const,
    list: (filter: object = {}) => ["runs", "list", filter] as const,
    one: (id: string) => ["runs", "one", id] as const,
    logs: (id: string) => ["runs", "one", id, "logs"] as const,
  },
  templates: {
    all: ["templates"] as const,
    list: (filter: object = {}) => ["templates", "list", filter] as const,
    one: (id: string) => ["templates", "one", id] as const,
    categories: ["templates", "categories"] as const,
  },
  credits: {
    all: ["credits"] as const,
    balance: ["credits", "balance"] as const,
    history: (filter: object = {}) => ["credits", "history", filter] as const,
    packages: ["credits", "packages"] as const,
    purchases: ["credits", "purchases"] as const,
  },
  billing: {
    all: ["billing"] as const,
    subscription: ["billing", "subscription"] as const,
    invoices: ["billing", "invoices"] as const,
    paymentMethods: ["billing", "payment-methods"] as const,
  },
  usage: (period: string) => ["usage", period] as const,
  providerKeys: ["provider-keys"] as const,
  accessKeys: ["access-keys"] as const,
  sessions: ["sessions"] as const,
  audit: ["audit"] as const,
  twoFactor: ["two-factor"] as const,
  admin: {
    all: ["admin"] as const,
    one: (what: string, filter: object = {}) => ["admin", what, filter] as const,
  },
};
