/**
 * The policy that an operation asks, by its operation id. Every operation below /v1 and /logs has one: one without is
 * refused to everybody but administrators, so that a forgotten label is a closed door.
 */
const LABELS: Readonly<Record<string, string>> = {
  ...of('providers', { listProviders: 'list', getProviderSchemas: 'show_schemas' }),
  ...of('regions', crud('Region')),
  ...of('services', crud('Service')),
  ...of('endpoints', {
    ...crud('Endpoint'),
    actOnEndpoint: 'validate_connection',
    listEndpointInstances: 'list_instances',
    getEndpointInstance: 'get_instance',
    listEndpointNetworks: 'list_networks',
    listEndpointStorage: 'list_storage',
    listEndpointSourceOptions: 'list_options',
    listEndpointDestinationOptions: 'list_options',
    listEndpointSourcePoolOptions: 'list_options',
    listEndpointDestinationPoolOptions: 'list_options',
    getEndpointInventory: 'export_inventory',
    getEndpointLimits: 'show',
    updateEndpointLimits: 'update',
  }),
  ...of('transfers', {
    ...crud('Transfer'),
    listTransfersDetail: 'list',
    listTransferDisks: 'show',
    getTransferLimits: 'show',
    updateTransferLimits: 'update',
    actOnTransfer: 'delete_disks',
  }),
  ...of('transfer_executions', { ...crud('Execution'), listExecutionsDetail: 'list', actOnExecution: 'cancel' }),
  ...of('transfer_schedules', crud('Schedule')),
  ...of('deployments', { ...crud('Deployment'), listDeploymentsDetail: 'list', actOnDeployment: 'cancel' }),
  // A migration of the older dialect is a deployment, or a transfer that ends in one.
  ...of('deployments', { ...crud('Migration'), listMigrationsDetail: 'list', actOnMigration: 'cancel' }),
  ...of('minion_pools', { ...crud('MinionPool'), actOnMinionPool: 'act' }),
  ...of('diagnostics', { getDiagnostics: 'get' }),
  ...of('resources', { listResources: 'list', getResource: 'show' }),
  ...of('receipts', {
    listReceipts: 'list',
    getReceipt: 'show',
    getReceiptLeaves: 'show',
    getReceiptKey: 'show',
  }),
  ...of('ledger', { listLedger: 'list' }),
  ...of('events', { followEvents: 'stream' }),
  ...of('logs', { listLogs: 'list', downloadLog: 'show', streamLogs: 'stream' }),
  ...of('webhooks', {
    ...crud('Webhook'),
    listWebhookDeliveries: 'show',
    actOnWebhook: 'act',
    actOnWebhookDelivery: 'act',
  }),
  ...of('audit', { listAuditRecords: 'list' }),
};

/** Undefined for an operation that asks no policy. */
export function policyLabel(operationId: string | undefined): string | undefined {
  return operationId !== undefined && Object.hasOwn(LABELS, operationId) ? LABELS[operationId] : undefined;
}

function crud(noun: string): Record<string, string> {
  return {
    [`list${noun}s`]: 'list',
    [`get${noun}`]: 'show',
    [`create${noun}`]: 'create',
    [`update${noun}`]: 'update',
    [`delete${noun}`]: 'delete',
  };
}

function of(area: string, verbs: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(verbs).map(([id, verb]) => [id, `migration:${area}:${verb}`]));
}
