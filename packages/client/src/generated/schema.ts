// Generated from openapi.json by "npm run generate". Do not edit.

export interface paths {
    "/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Versions of the API */
        get: operations["listVersions"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/audit": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Who did what, oldest first */
        get: operations["listAuditRecords"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/deployments": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Deployments, newest first */
        get: operations["listDeployments"];
        put?: never;
        /**
         * Boot the transferred disks at the destination
         * @description With test: an overlay in an isolated network, removed with the deployment, while replication goes on.
         */
        post: operations["createDeployment"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/deployments/{deployment_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One deployment with its tasks */
        get: operations["getDeployment"];
        put?: never;
        post?: never;
        /**
         * Forget a deployment
         * @description The instance stays, unless it was a test failover: that is removed.
         */
        delete: operations["deleteDeployment"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/deployments/{deployment_id}/actions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** cancel: end a running or waiting deployment; with force at once */
        post: operations["actOnDeployment"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/deployments/detail": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Deployments, newest first */
        get: operations["listDeploymentsDetail"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/diagnostics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Processes, their hosts and versions */
        get: operations["getDiagnostics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/endpoints": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Endpoints */
        get: operations["listEndpoints"];
        put?: never;
        /**
         * Connect a platform
         * @description connection_info is judged by the schema of its type. Whether it connects: validate-connection.
         */
        post: operations["createEndpoint"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/endpoints/{endpoint_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One endpoint */
        get: operations["getEndpoint"];
        /**
         * Change an endpoint
         * @description A connection_info replaces the old one whole. The type cannot change after creation.
         */
        put: operations["updateEndpoint"];
        post?: never;
        /**
         * Forget an endpoint
         * @description Refused with 403 while transfers name it.
         */
        delete: operations["deleteEndpoint"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/endpoints/{endpoint_id}/actions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * validate-connection: does it connect with these credentials
         * @description 200 also when it does not: then valid is false and message says why.
         */
        post: operations["actOnEndpoint"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/endpoints/{endpoint_id}/destination-minion-pool-options": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Values on offer for minion pools of the destination */
        get: operations["listEndpointDestinationPoolOptions"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/endpoints/{endpoint_id}/destination-options": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Values on offer for the destination environment */
        get: operations["listEndpointDestinationOptions"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/endpoints/{endpoint_id}/instances": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Instances of the platform */
        get: operations["listEndpointInstances"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/endpoints/{endpoint_id}/instances/{instance}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * One instance with its devices
         * @description instance: URL-safe base64 of its identifier
         */
        get: operations["getEndpointInstance"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/endpoints/{endpoint_id}/inventory": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * All instances as CSV
         * @description One header row, one row per instance. With Accept: application/json the CSV as one JSON string.
         */
        get: operations["getEndpointInventory"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/endpoints/{endpoint_id}/limits": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Limits of an endpoint */
        get: operations["getEndpointLimits"];
        /**
         * Set the limits of an endpoint
         * @description Counts for copies under way within seconds.
         */
        put: operations["updateEndpointLimits"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/endpoints/{endpoint_id}/networks": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Networks of the platform */
        get: operations["listEndpointNetworks"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/endpoints/{endpoint_id}/source-minion-pool-options": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Values on offer for minion pools of the source */
        get: operations["listEndpointSourcePoolOptions"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/endpoints/{endpoint_id}/source-options": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Values on offer for the source environment */
        get: operations["listEndpointSourceOptions"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/endpoints/{endpoint_id}/storage": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Storage of the platform */
        get: operations["listEndpointStorage"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What happens, as server-sent events
         * @description From now on, or after the event named by the Last-Event-ID header (or last_event_id): then nothing is left out, however long the gap. Comments keep the connection alive. It ends with the token. Only events of the project; administrators see all. At most 500 readers at a time, 300 of a project, 200 of a user; one more is answered 503 (BUSY).
         */
        get: operations["followEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/healthz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The process answers */
        get: operations["getHealth"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/identity/v3": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Version document of the identity service */
        get: operations["getIdentityVersion"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/identity/v3/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Version document of the identity service */
        get: operations["getIdentityVersionSlash"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/identity/v3/auth/catalog": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The catalog */
        get: operations["getCatalog"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/identity/v3/auth/projects": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Projects that the caller has a role in */
        get: operations["listAuthProjects"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/identity/v3/auth/tokens": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What a token speaks for
         * @description The token is named by the X-Subject-Token header.
         */
        get: operations["getToken"];
        put?: never;
        /**
         * Sign in
         * @description Methods password and token; scope project (by id, or by name with its domain), unscoped, or none for the default project. The token is in the X-Subject-Token header.
         */
        post: operations["createToken"];
        /** Sign out */
        delete: operations["revokeToken"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/identity/v3/projects": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Projects */
        get: operations["listProjects"];
        put?: never;
        /** Make a project */
        post: operations["createProject"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/identity/v3/projects/{project_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One project */
        get: operations["getProject"];
        put?: never;
        post?: never;
        /**
         * Remove a project that has nothing
         * @description Refused while it has endpoints, transfers, deployments or pools.
         */
        delete: operations["deleteProject"];
        options?: never;
        head?: never;
        /** Change a project */
        patch: operations["updateProject"];
        trace?: never;
    };
    "/identity/v3/projects/{project_id}/users/{user_id}/roles/{role}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /** Give a user a role in a project */
        put: operations["giveRole"];
        post?: never;
        /** Take it away */
        delete: operations["takeRole"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/identity/v3/role_assignments": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Who has which role in which project */
        get: operations["listRoleAssignments"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/identity/v3/roles": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Roles that are known or given */
        get: operations["listRoles"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/identity/v3/users": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Users */
        get: operations["listUsers"];
        put?: never;
        /** Make a user */
        post: operations["createUser"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/identity/v3/users/{user_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One user */
        get: operations["getUser"];
        put?: never;
        post?: never;
        /** Remove a user and end its sessions */
        delete: operations["deleteUser"];
        options?: never;
        head?: never;
        /** Rename, enable, disable a user or set the password */
        patch: operations["updateUser"];
        trace?: never;
    };
    "/ledger": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What Godwit made on the platforms
         * @description Filters: endpoint_id, transfer_id, deployment_id, execution_id, keep, state; show_removed: also what is gone
         */
        get: operations["listLedger"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/logs/api/v1/logs/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Names of the logs */
        get: operations["listLogs"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/logs/api/v1/logs/{log_name}/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One log, oldest line first */
        get: operations["downloadLog"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Prometheus metrics
         * @description Without a token counts alone; with an administrator’s (X-Auth-Token, or Authorization: Bearer) also the bytes of each disk by name.
         */
        get: operations["getMetrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/migrations": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Migrations in the words of the older dialect */
        get: operations["listMigrations"];
        put?: never;
        /**
         * Deploy a replica, or move instances in one go
         * @description Direct: replication_count executions follow each other, the last one with shutdown_instances; then the disks are deployed.
         */
        post: operations["createMigration"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/migrations/{migration_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One migration with the tasks of all its runs */
        get: operations["getMigration"];
        put?: never;
        post?: never;
        /** Forget a migration that has ended */
        delete: operations["deleteMigration"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/migrations/{migration_id}/actions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** cancel: end a running migration; with force at once */
        post: operations["actOnMigration"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/migrations/detail": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Migrations in the words of the older dialect */
        get: operations["listMigrationsDetail"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/minion_pools": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Minion pools */
        get: operations["listMinionPools"];
        put?: never;
        /**
         * Make a pool
         * @description Its machines are made at once, unless skip_allocation is true.
         */
        post: operations["createMinionPool"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/minion_pools/{minion_pool_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One pool with its machines and its history */
        get: operations["getMinionPool"];
        /**
         * Change a pool that has no machines
         * @description Only while it is DEALLOCATED. Endpoint and platform cannot change after creation.
         */
        put: operations["updateMinionPool"];
        post?: never;
        /**
         * Forget a pool that has no machines
         * @description Only while it is DEALLOCATED or ERROR.
         */
        delete: operations["deleteMinionPool"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/minion_pools/{minion_pool_id}/actions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** allocate, refresh or deallocate; the last with force from any state */
        post: operations["actOnMinionPool"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/providers": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Platforms and their abilities */
        get: operations["listProviders"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/providers/{platform}/schemas/{type}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * JSON Schema of a platform, by type number
         * @description 16 connection, 4 destination environment, 8 source environment, 524288 and 1048576 minion pools
         */
        get: operations["getProviderSchemas"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/readyz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** It can serve: the database answers and has its tables */
        get: operations["getReadiness"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/receipts": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Receipts, newest first
         * @description Filters: transfer_id, execution_id, instance, disk_id, result (match, mismatch)
         */
        get: operations["listReceipts"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/receipts/{receipt_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The signed receipt itself
         * @description No envelope: the document as it was signed, to be kept and checked by anybody.
         */
        get: operations["getReceipt"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/receipts/{receipt_id}/leaves": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The leaf table of a receipt
         * @description 32 bytes per 64 KiB of the disk, in order. 410 when a later execution has changed the disk.
         */
        get: operations["getReceiptLeaves"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/receipts/keys/{key_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The public key that checks receipts of a key id
         * @description Ed25519, SPKI PEM. A careful reader gets it once, from a source he trusts, and keeps it.
         */
        get: operations["getReceiptKey"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/regions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Regions */
        get: operations["listRegions"];
        put?: never;
        /** Make a region */
        post: operations["createRegion"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/regions/{region_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One region */
        get: operations["getRegion"];
        /** Change a region */
        put: operations["updateRegion"];
        post?: never;
        /** Remove a region */
        delete: operations["deleteRegion"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/resources": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The inventory
         * @description Filters: endpoint_id, kind (instance, volume, network), migrated, name (a part of it)
         */
        get: operations["listResources"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/resources/{resource_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One record of the inventory */
        get: operations["getResource"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/services": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Workers */
        get: operations["listServices"];
        put?: never;
        /**
         * Enter a worker by hand
         * @description Its status is UNKNOWN until a worker of that host, binary and topic reports.
         */
        post: operations["createService"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/services/{service_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One worker */
        get: operations["getService"];
        /** Enable, disable or map a worker */
        put: operations["updateService"];
        post?: never;
        /**
         * Forget a worker
         * @description Refused while it is UP: it would enter itself again, under another id and with no settings.
         */
        delete: operations["deleteService"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/transfers": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Transfers, newest first */
        get: operations["listTransfers"];
        put?: never;
        /**
         * Make a transfer
         * @description Nothing moves yet: start an execution.
         */
        post: operations["createTransfer"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/transfers/{transfer_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * One transfer
         * @description Its executions are listed below it; here they are always an empty list.
         */
        get: operations["getTransfer"];
        /**
         * Change the settings of a transfer
         * @description Answers an execution of type transfer_update, in which both platforms judge the new settings; the transfer has them when it completes, and keeps the old ones when it does not. Maps are merged by key, storage mappings by source or disk. Endpoints, instances and scenario cannot change after creation.
         */
        put: operations["updateTransfer"];
        post?: never;
        /**
         * Forget a transfer and remove its replica disks
         * @description Deployed instances stay. Refused while an execution runs.
         */
        delete: operations["deleteTransfer"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/transfers/{transfer_id}/actions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** delete-disks: remove the replica disks, keep the transfer */
        post: operations["actOnTransfer"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/transfers/{transfer_id}/disks": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Replica disks of a transfer and how far each is */
        get: operations["listTransferDisks"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/transfers/{transfer_id}/executions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Executions of a transfer, newest first
         * @description Of a transfer that does not exist: an empty list.
         */
        get: operations["listExecutions"];
        put?: never;
        /**
         * Run a transfer
         * @description With shutdown_instances the sources are stopped before the last pass. Refused while another execution runs.
         */
        post: operations["createExecution"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/transfers/{transfer_id}/executions/{execution_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One execution with its tasks, their events and their progress */
        get: operations["getExecution"];
        put?: never;
        post?: never;
        /** Forget an execution that has ended */
        delete: operations["deleteExecution"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/transfers/{transfer_id}/executions/{execution_id}/actions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** cancel: end a running execution; with force at once */
        post: operations["actOnExecution"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/transfers/{transfer_id}/executions/detail": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** All executions of a transfer with their tasks */
        get: operations["listExecutionsDetail"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/transfers/{transfer_id}/limits": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Limits of a transfer */
        get: operations["getTransferLimits"];
        /**
         * Set the limits of a transfer
         * @description At any time: a copy under way keeps to it within seconds.
         */
        put: operations["updateTransferLimits"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/transfers/{transfer_id}/schedules": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Schedules of a transfer */
        get: operations["listSchedules"];
        put?: never;
        /**
         * Run a transfer by the clock
         * @description The body has no envelope. It fires in every minute that all given fields fit.
         */
        post: operations["createSchedule"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/transfers/{transfer_id}/schedules/{schedule_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One schedule */
        get: operations["getSchedule"];
        /**
         * Change a schedule
         * @description A `schedule` replaces the old one whole; `expiration_date` null clears it.
         */
        put: operations["updateSchedule"];
        post?: never;
        /**
         * Remove a schedule
         * @description Refused while the transfer runs.
         */
        delete: operations["deleteSchedule"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/transfers/detail": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Transfers, newest first */
        get: operations["listTransfersDetail"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/webhooks": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Webhooks */
        get: operations["listWebhooks"];
        put?: never;
        /**
         * Have events of a project sent to a URL
         * @description From now on. Signed with a secret that is shown in this answer alone, when it was not given.
         */
        post: operations["createWebhook"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/webhooks/{webhook_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One webhook */
        get: operations["getWebhook"];
        /**
         * Change a webhook
         * @description What happens while it is disabled is not made up for.
         */
        put: operations["updateWebhook"];
        post?: never;
        /** Remove a webhook and what it has still to be told */
        delete: operations["deleteWebhook"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/webhooks/{webhook_id}/actions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** test: send an event now; rotate-secret: sign with a new secret */
        post: operations["actOnWebhook"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/webhooks/{webhook_id}/deliveries": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What a webhook was or will be sent, newest first
         * @description Kept for a week after they ended.
         */
        get: operations["listWebhookDeliveries"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/webhooks/{webhook_id}/deliveries/{delivery_id}/actions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** retry: try one again that was given up */
        post: operations["actOnWebhookDelivery"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        AuditAnswer: {
            /** @description With verify: first record that was tampered with; null: none */
            broken_at: number | null;
            records: components["schemas"]["AuditRecord"][];
        };
        AuditRecord: {
            /** @description The policy that was asked, else the operation */
            action: string;
            /** @description From where */
            address: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            at: string;
            hash: string;
            /** @description 1 and up, without a gap */
            number: number;
            /** @description Method and path */
            object: string;
            /** @description Hash of the record before */
            previous: string;
            project_id: string | null;
            request_id: string;
            /** @description HTTP status of the answer */
            status: number;
            user_id: string | null;
            user_name: string | null;
        };
        CancelAction: {
            cancel: {
                force?: boolean | null;
            } | null;
        };
        DeleteDisksAction: {
            "delete-disks": null;
        } & {
            [key: string]: unknown;
        };
        Deployment: {
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            base_id: string;
            clone_disks: boolean;
            clustered: boolean;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            created_at: string;
            /** @description "0", or the id of the object once it is deleted */
            deleted: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            deleted_at: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            deployer_id: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            destination_endpoint_id: string;
            /** @description Carries network_map and storage_mappings as well */
            destination_environment: {
                [key: string]: unknown;
            };
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            destination_minion_pool_id: string | null;
            /** @description Empty, and only while there is no execution */
            executions?: unknown[];
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            id: string;
            /** @description Only with include_task_info: instance to what its tasks know */
            info?: {
                [key: string]: unknown;
            };
            /** @description Instance to minion pool id */
            instance_osmorphing_minion_pool_mappings: {
                [key: string]: string;
            };
            instances: string[];
            /** @enum {string} */
            last_execution_status: "UNEXECUTED" | "PENDING" | "RUNNING" | "COMPLETED" | "ERROR" | "DEADLOCKED" | "CANCELED" | "CANCELLING" | "CANCELED_FOR_DEBUGGING" | "AWAITING_MINION_ALLOCATIONS" | "ERROR_ALLOCATING_MINIONS";
            /** @description Source network to destination network */
            network_map: {
                [key: string]: unknown;
            };
            notes: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            origin_endpoint_id: string;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            origin_minion_pool_id: string | null;
            project_id: string;
            reservation_id: string | null;
            skip_os_morphing: boolean;
            source_environment: {
                [key: string]: unknown;
            };
            storage_mappings: {
                [key: string]: unknown;
            };
            /** @description Of its one execution */
            tasks?: components["schemas"]["Task"][];
            /** @description A test failover: an overlay in an isolated network. An addition to the contract */
            test: boolean;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            transfer_id: string;
            /** @description Instance to what it has become */
            transfer_result: {
                [key: string]: unknown;
            } | null;
            /** @enum {string} */
            transfer_scenario_type: "replica" | "live_migration";
            trust_id: string | null;
            type: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            updated_at: string | null;
            user_id: string;
            /** @description global (by OS type) and instances */
            user_scripts: {
                [key: string]: unknown;
            };
        };
        DeploymentAnswer: {
            deployment: components["schemas"]["Deployment"];
        };
        DeploymentCreate: {
            deployment: components["schemas"]["DeploymentCreateBody"];
        };
        DeploymentCreateBody: {
            /** @description Default true */
            clone_disks?: boolean | null;
            /** @description Default false */
            force?: boolean | null;
            instance_osmorphing_minion_pool_mappings?: {
                [key: string]: string;
            } | null;
            /** @description Default false */
            skip_os_morphing?: boolean | null;
            /** @description Default false. An addition to the contract */
            test?: boolean | null;
            /** @description Required */
            transfer_id?: string | null;
            user_scripts?: {
                [key: string]: unknown;
            } | null;
        } & {
            [key: string]: unknown;
        };
        DeploymentsAnswer: {
            deployments: components["schemas"]["Deployment"][];
        };
        DestinationOptionsAnswer: {
            destination_options: components["schemas"]["OptionValues"][];
        };
        DestinationPoolOptionsAnswer: {
            destination_minion_pool_options: components["schemas"]["OptionValues"][];
        };
        Diagnostic: {
            application: string;
            hostname: string;
            ip_addresses: string[];
            /** @description A text or an object: what the host runs */
            os_info: unknown;
            packages: string[];
        };
        DiagnosticsAnswer: {
            diagnostics: components["schemas"]["Diagnostic"][];
        };
        DiskProgress: {
            [key: string]: unknown;
        };
        /**
         * @example {
         *       "created_at": "2026-11-21T01:45:52.000000",
         *       "updated_at": null,
         *       "deleted_at": null,
         *       "deleted": "0",
         *       "id": "6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11",
         *       "user_id": "0c4f8e0e-1f0e-4d0a-8f5e-5a1f3a0b7c22",
         *       "project_id": "d2f1b9f6-7a2c-4c9e-8a55-9c3f0e6b1a33",
         *       "name": "lab",
         *       "type": "libvirt",
         *       "description": null,
         *       "connection_info": {
         *         "uri": "qemu+ssh://root@kvm1.example.org/system"
         *       },
         *       "mapped_regions": []
         *     }
         */
        Endpoint: {
            /** @description What the provider needs to connect, by its schema (GET /providers/{platform}/schemas/16). Secret fields are taken once and never shown again */
            connection_info: {
                [key: string]: unknown;
            };
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            created_at: string;
            /** @description "0", or the id of the object once it is deleted */
            deleted: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            deleted_at: string | null;
            description: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            id: string;
            mapped_regions: string[];
            name: string;
            project_id: string;
            /** @example libvirt */
            type: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            updated_at: string | null;
            user_id: string;
        };
        EndpointAction: {
            "validate-connection": null;
        };
        EndpointAnswer: {
            endpoint: components["schemas"]["Endpoint"];
        };
        EndpointCreate: {
            endpoint: components["schemas"]["EndpointCreateBody"];
        };
        EndpointCreateBody: {
            /** @description What the provider needs to connect, by its schema (GET /providers/{platform}/schemas/16). Secret fields are taken once and never shown again */
            connection_info: {
                [key: string]: unknown;
            };
            description?: string | null;
            mapped_regions?: string[] | null;
            name: string;
            type: string;
        } & {
            [key: string]: unknown;
        };
        EndpointLimits: {
            /** @description Bytes per second and direction, over all transfers that use the endpoint; null: none */
            rate_limit: number | null;
        };
        EndpointLimitsAnswer: {
            limits: components["schemas"]["EndpointLimits"];
        };
        EndpointsAnswer: {
            endpoints: components["schemas"]["Endpoint"][];
        };
        EndpointUpdate: {
            endpoint: components["schemas"]["EndpointUpdateBody"];
        } & {
            [key: string]: unknown;
        };
        EndpointUpdateBody: {
            /** @description What the provider needs to connect, by its schema (GET /providers/{platform}/schemas/16). Secret fields are taken once and never shown again */
            connection_info?: {
                [key: string]: unknown;
            };
            description?: string | null;
            mapped_regions?: string[] | null;
            name?: string;
        } & {
            [key: string]: unknown;
        };
        /** @description Refused */
        Error: {
            error: {
                code: number;
                /** @enum {string} */
                fault: "badRequest" | "unauthorized" | "forbidden" | "itemNotFound" | "badMethod" | "conflictingRequest" | "overLimit" | "badMediaType" | "notImplemented" | "serviceUnavailable" | "computeFault";
                message: string;
            };
        };
        /**
         * @example {
         *       "created_at": "2026-11-21T01:45:52.000000",
         *       "updated_at": null,
         *       "deleted_at": null,
         *       "deleted": "0",
         *       "id": "70f7c248-cdc4-4518-92e5-7f63d679d50e",
         *       "action_id": "a5f7d1b2-04c8-4f61-8f0b-5b1f2d6c7e90",
         *       "number": 1,
         *       "type": "transfer_execution",
         *       "status": "RUNNING",
         *       "tasks": [
         *         {
         *           "created_at": "2026-11-21T01:45:52.000000",
         *           "updated_at": null,
         *           "deleted_at": null,
         *           "deleted": "0",
         *           "id": "1ac56359-1c1a-4252-80bb-4c70077792dc",
         *           "execution_id": "70f7c248-cdc4-4518-92e5-7f63d679d50e",
         *           "instance": "web01",
         *           "host": "worker1",
         *           "process_id": 4242,
         *           "status": "RUNNING",
         *           "task_type": "REPLICATE_DISKS",
         *           "exception_details": null,
         *           "depends_on": null,
         *           "index": 5,
         *           "on_error": false,
         *           "events": [],
         *           "progress_updates": [
         *             {
         *               "created_at": "2026-11-21T01:45:52.000000",
         *               "updated_at": null,
         *               "deleted_at": null,
         *               "deleted": "0",
         *               "id": "5d1b7c7a-0c3f-4f6f-9f7b-52a5d4f4c101",
         *               "task_id": "1ac56359-1c1a-4252-80bb-4c70077792dc",
         *               "index": 1,
         *               "current_step": 25,
         *               "total_steps": 100,
         *               "message": "vda: 5.0 of 20.0 GiB",
         *               "disk": {
         *                 "disk_id": "vda",
         *                 "size": 21474836480,
         *                 "done": 5368709120,
         *                 "read": 1073741824,
         *                 "sent": 536870912,
         *                 "skipped": 0
         *               }
         *             }
         *           ],
         *           "error": null
         *         }
         *       ]
         *     }
         */
        Execution: {
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            action_id: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            created_at: string;
            /** @description "0", or the id of the object once it is deleted */
            deleted: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            deleted_at: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            id: string;
            number: number;
            /** @enum {string} */
            status: "UNEXECUTED" | "PENDING" | "RUNNING" | "COMPLETED" | "ERROR" | "DEADLOCKED" | "CANCELED" | "CANCELLING" | "CANCELED_FOR_DEBUGGING" | "AWAITING_MINION_ALLOCATIONS" | "ERROR_ALLOCATING_MINIONS";
            tasks: components["schemas"]["Task"][];
            /** @enum {string} */
            type: "transfer_execution" | "transfer_disks_delete" | "transfer_update" | "deployment" | "minion_pool_maintenance" | "minion_pool_update" | "minion_pool_set_up_shared_resources" | "minion_pool_tear_down_shared_resources" | "minion_pool_allocate_minions" | "minion_pool_deallocate_minions";
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            updated_at: string | null;
        };
        ExecutionAnswer: {
            execution: components["schemas"]["Execution"];
        };
        ExecutionCreate: {
            execution?: components["schemas"]["ExecutionCreateBody"] | null;
        };
        ExecutionCreateBody: {
            /**
             * @description How much is compared although unchanged; default sample, whole when shut down
             * @enum {string|null}
             */
            audit?: "sample" | "whole" | null;
            /** @description Default false */
            auto_deploy?: boolean | null;
            /** @description Default false */
            shutdown_instances?: boolean | null;
            /**
             * @description How much of the target is re-read; default changed, whole when instances are shut down
             * @enum {string|null}
             */
            verify?: "changed" | "whole" | null;
        } & {
            [key: string]: unknown;
        };
        ExecutionsAnswer: {
            executions: components["schemas"]["Execution"][];
        };
        Health: {
            status: string;
        };
        /** @description Refused */
        IdentityError: {
            error: {
                code: number;
                message: string;
                title: string;
            };
        };
        Instance: {
            devices: components["schemas"]["InstanceDevices"];
            /** @enum {string} */
            firmware_type?: "BIOS" | "EFI";
            flavor_name?: string | null;
            id: string;
            instance_name?: string;
            memory_mb: number;
            name: string;
            num_cpu: number;
            /** @enum {string} */
            os_type: "linux" | "windows" | "bsd" | "osx" | "solaris" | "other" | "unknown";
        } & {
            [key: string]: unknown;
        };
        InstanceAnswer: {
            instance: components["schemas"]["Instance"];
        };
        InstanceDevices: {
            cdroms: Record<string, never>[];
            controllers: Record<string, never>[];
            disks: components["schemas"]["InstanceDisk"][];
            floppies: Record<string, never>[];
            nics: components["schemas"]["InstanceNic"][];
            serial_ports: Record<string, never>[];
        } & {
            [key: string]: unknown;
        };
        InstanceDisk: {
            /** @enum {string} */
            allocation_type?: "static" | "dynamic";
            bus?: string | null;
            controller_id?: string | null;
            format?: string;
            id: string;
            path?: string | null;
            shareable?: boolean;
            size_bytes: number;
            storage_backend_identifier?: string | null;
            unit_number?: number | null;
        } & {
            [key: string]: unknown;
        };
        InstanceNic: {
            id: string;
            ip_addresses?: string[];
            mac_address: string | null;
            name?: string | null;
            network_id?: string | null;
            network_name: string;
        } & {
            [key: string]: unknown;
        };
        InstancesAnswer: {
            instances: components["schemas"]["InstanceSummary"][];
        };
        InstanceSummary: {
            /** @enum {string} */
            firmware_type?: "BIOS" | "EFI";
            flavor_name?: string | null;
            id: string;
            instance_name?: string;
            memory_mb: number;
            name: string;
            num_cpu: number;
            /** @enum {string} */
            os_type: "linux" | "windows" | "bsd" | "osx" | "solaris" | "other" | "unknown";
        } & {
            [key: string]: unknown;
        };
        LedgerAnswer: {
            ledger: components["schemas"]["LedgerEntry"][];
        };
        LedgerEntry: {
            /** @description Removals tried */
            attempts: number;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            created_at: string;
            /** @description "0", or the id of the object once it is deleted */
            deleted: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            deleted_at: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            deployment_id: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            endpoint_id: string;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            execution_id: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            id: string;
            /** @enum {string} */
            keep: "execution" | "transfer" | "deployment" | "pool" | "forever";
            /**
             * @example disk
             * @example snapshot
             * @example instance
             */
            kind: string;
            last_error: string | null;
            name: string;
            project_id: string;
            /** @enum {string} */
            state: "intended" | "made" | "removing" | "removed";
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            task_id: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            transfer_id: string | null;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            updated_at: string | null;
        };
        LimitsUpdate: {
            limits: components["schemas"]["EndpointLimits"];
        } & {
            [key: string]: unknown;
        };
        Log: {
            log_name: string;
        };
        LogsAnswer: {
            logs: components["schemas"]["Log"][];
        };
        MigrationAnswer: {
            migration: {
                [key: string]: unknown;
            };
        };
        MigrationCreate: {
            migration: components["schemas"]["MigrationCreateBody"];
        } & {
            [key: string]: unknown;
        };
        MigrationCreateBody: {
            clone_disks?: boolean | null;
            destination_endpoint_id?: string | null;
            destination_environment?: {
                [key: string]: unknown;
            } | null;
            destination_minion_pool_id?: string | null;
            force?: boolean | null;
            instance_osmorphing_minion_pool_mappings?: {
                [key: string]: string;
            } | null;
            instances?: string[] | null;
            network_map?: {
                [key: string]: unknown;
            } | null;
            notes?: string | null;
            origin_endpoint_id?: string | null;
            origin_minion_pool_id?: string | null;
            /** @description Deploys this replica; the rest is ignored */
            replica_id?: string | null;
            /** @description 1 to 10, default 2 */
            replication_count?: number | null;
            shutdown_instances?: boolean | null;
            skip_os_morphing?: boolean | null;
            source_environment?: {
                [key: string]: unknown;
            } | null;
            storage_mappings?: components["schemas"]["StorageMappings"] | null;
            user_scripts?: {
                [key: string]: unknown;
            } | null;
        } & {
            [key: string]: unknown;
        };
        MigrationsAnswer: {
            migrations: {
                [key: string]: unknown;
            }[];
        };
        MinionMachine: {
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            allocated_action: string | null;
            allocation_status: string;
            /** @description backend and connection_details; secrets are *** */
            backup_writer_connection_info: {
                [key: string]: unknown;
            } | null;
            /** @description Secrets are *** */
            connection_info: {
                [key: string]: unknown;
            } | null;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            created_at: string;
            /** @description "0", or the id of the object once it is deleted */
            deleted: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            deleted_at: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            id: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            last_used_at: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            pool_id: string;
            power_status: string;
            project_id: string;
            provider_properties: {
                [key: string]: unknown;
            } | null;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            updated_at: string | null;
            user_id: string;
        };
        /**
         * @example {
         *       "created_at": "2026-11-21T01:45:52.000000",
         *       "updated_at": null,
         *       "deleted_at": null,
         *       "deleted": "0",
         *       "id": "5b1f6d54-3a7c-4f59-93a1-6a2a7a1c1e66",
         *       "user_id": "0c4f8e0e-1f0e-4d0a-8f5e-5a1f3a0b7c22",
         *       "project_id": "d2f1b9f6-7a2c-4c9e-8a55-9c3f0e6b1a33",
         *       "name": "helpers",
         *       "notes": null,
         *       "endpoint_id": "6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11",
         *       "environment_options": {},
         *       "os_type": "linux",
         *       "platform": "source",
         *       "status": "DEALLOCATED",
         *       "shared_resources": null,
         *       "minimum_minions": 1,
         *       "maximum_minions": 2,
         *       "minion_max_idle_time": 600,
         *       "minion_retention_strategy": "delete",
         *       "maintenance_trust_id": null,
         *       "minion_machines": [],
         *       "events": [],
         *       "progress_updates": []
         *     }
         */
        MinionPool: {
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            created_at: string;
            /** @description "0", or the id of the object once it is deleted */
            deleted: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            deleted_at: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            endpoint_id: string;
            environment_options: {
                [key: string]: unknown;
            };
            /** @description Not in lists */
            events?: components["schemas"]["MinionPoolEvent"][];
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            id: string;
            maintenance_trust_id: string | null;
            maximum_minions: number;
            minimum_minions: number;
            minion_machines: components["schemas"]["MinionMachine"][];
            /** @description Seconds */
            minion_max_idle_time: number;
            /** @enum {string} */
            minion_retention_strategy: "delete" | "poweroff";
            name: string;
            notes: string | null;
            os_type: string;
            /** @enum {string} */
            platform: "source" | "destination";
            /** @description Not in lists */
            progress_updates?: components["schemas"]["MinionPoolProgress"][];
            project_id: string;
            shared_resources: {
                [key: string]: unknown;
            } | null;
            status: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            updated_at: string | null;
            user_id: string;
        };
        MinionPoolAction: {
            allocate?: null;
            deallocate?: {
                force?: boolean;
            } | null;
            refresh?: null;
        } & {
            [key: string]: unknown;
        };
        MinionPoolAnswer: {
            minion_pool: components["schemas"]["MinionPool"];
        };
        MinionPoolCreate: {
            minion_pool: components["schemas"]["MinionPoolCreateBody"];
        } & {
            [key: string]: unknown;
        };
        MinionPoolCreateBody: {
            endpoint_id: string;
            /** @description Judged by the provider's schema */
            environment_options: {
                [key: string]: unknown;
            };
            /** @description Default: minimum_minions */
            maximum_minions?: number | null;
            /** @description Default 1 */
            minimum_minions?: number | null;
            /** @description Seconds; default 1 */
            minion_max_idle_time?: number | null;
            /** @description delete (default) or poweroff */
            minion_retention_strategy?: string | null;
            name: string;
            notes?: string | null;
            /** @description Sources must be linux */
            os_type: string;
            /** @description source or destination */
            platform: string;
            /** @description Default false */
            skip_allocation?: boolean | null;
        } & {
            [key: string]: unknown;
        };
        MinionPoolEvent: {
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            created_at: string;
            /** @description "0", or the id of the object once it is deleted */
            deleted: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            deleted_at: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            id: string;
            index: number;
            /** @enum {string} */
            level: "INFO" | "WARNING" | "ERROR";
            message: string;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            pool_id: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            updated_at: string | null;
        };
        MinionPoolProgress: {
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            created_at: string;
            current_step: number;
            /** @description "0", or the id of the object once it is deleted */
            deleted: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            deleted_at: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            id: string;
            index: number;
            message: string;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            pool_id: string;
            total_steps: number | null;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            updated_at: string | null;
        };
        MinionPoolsAnswer: {
            minion_pools: components["schemas"]["MinionPool"][];
        };
        MinionPoolUpdate: {
            minion_pool: components["schemas"]["MinionPoolUpdateBody"];
        } & {
            [key: string]: unknown;
        };
        MinionPoolUpdateBody: {
            /** @description Refused: it cannot change */
            endpoint_id?: unknown;
            /** @description Judged by the provider's schema */
            environment_options?: {
                [key: string]: unknown;
            };
            /** @description Default: minimum_minions */
            maximum_minions?: number | null;
            /** @description Default 1 */
            minimum_minions?: number | null;
            /** @description Seconds; default 1 */
            minion_max_idle_time?: number | null;
            /** @description delete (default) or poweroff */
            minion_retention_strategy?: string | null;
            name?: string;
            notes?: string | null;
            /** @description Sources must be linux */
            os_type?: string;
            /** @description Refused: it cannot change */
            platform?: unknown;
        } & {
            [key: string]: unknown;
        };
        Network: {
            id: string;
            name: string;
        } & {
            [key: string]: unknown;
        };
        NetworksAnswer: {
            networks: components["schemas"]["Network"][];
        };
        OptionValues: {
            config_default?: unknown;
            name: string;
            values: unknown[];
        } & {
            [key: string]: unknown;
        };
        ProgressUpdate: {
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            created_at: string;
            current_step: number;
            /** @description "0", or the id of the object once it is deleted */
            deleted: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            deleted_at: string | null;
            disk: components["schemas"]["DiskProgress"] | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            id: string;
            index: number;
            message: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            task_id: string;
            /** @description null or 0: a single remark */
            total_steps: number | null;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            updated_at: string | null;
        };
        ProjectCreate: {
            project: {
                description?: string | null;
                enabled?: boolean;
                name: string;
            } & {
                [key: string]: unknown;
            };
        };
        ProjectUpdate: {
            project: {
                description?: string | null;
                enabled?: boolean;
                name?: string;
            } & {
                [key: string]: unknown;
            };
        };
        Providers: {
            /**
             * @description Platform name to the numbers of its abilities
             * @example {
             *       "libvirt": {
             *         "types": [
             *           4,
             *           8,
             *           16,
             *           32,
             *           128
             *         ]
             *       }
             *     }
             */
            providers: {
                [key: string]: {
                    types: number[];
                };
            };
        };
        ProviderSchemas: {
            /** @description One key, named by the type; its value is a JSON Schema */
            schemas: {
                [key: string]: unknown;
            };
        };
        /** @description The signed document, as docs/receipt.md describes it */
        Receipt: {
            [key: string]: unknown;
        };
        ReceiptKey: {
            key_id: string;
            /** @description SPKI PEM */
            public_key: string;
        };
        ReceiptKeyAnswer: {
            key: components["schemas"]["ReceiptKey"];
        };
        ReceiptsAnswer: {
            receipts: components["schemas"]["ReceiptSummary"][];
        };
        ReceiptSummary: {
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            created_at: string;
            disk_id: string;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            execution_id: string;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            id: string;
            instance: string;
            project_id: string;
            /** @enum {string} */
            result: "match" | "mismatch";
            /** @description Merkle root, hexadecimal */
            source_root: string;
            target_root: string;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            transfer_id: string;
        };
        /**
         * @example {
         *       "created_at": "2026-11-21T01:45:52.000000",
         *       "updated_at": null,
         *       "deleted_at": null,
         *       "deleted": "0",
         *       "id": "3b0c9a51-6f6e-4d39-9a57-1f0f6f7c2d11",
         *       "name": "north",
         *       "description": "",
         *       "enabled": true,
         *       "mapped_endpoints": [
         *         "6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11"
         *       ],
         *       "mapped_services": []
         *     }
         */
        Region: {
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            created_at: string;
            /** @description "0", or the id of the object once it is deleted */
            deleted: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            deleted_at: string | null;
            description: string | null;
            enabled: boolean;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            id: string;
            mapped_endpoints: string[];
            mapped_services: string[];
            name: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            updated_at: string | null;
        };
        RegionAnswer: {
            region: components["schemas"]["Region"];
        };
        RegionCreate: {
            region: components["schemas"]["RegionCreateBody"];
        } & {
            [key: string]: unknown;
        };
        RegionCreateBody: {
            description?: string | null;
            /** @description Default true */
            enabled?: boolean | null;
            name: string;
        } & {
            [key: string]: unknown;
        };
        RegionsAnswer: {
            regions: components["schemas"]["Region"][];
        };
        RegionUpdate: {
            region: components["schemas"]["RegionUpdateBody"];
        } & {
            [key: string]: unknown;
        };
        RegionUpdateBody: {
            description?: string | null;
            enabled?: boolean;
            name?: string;
        } & {
            [key: string]: unknown;
        };
        ReplicaDisk: {
            /** @description Number of the last execution that completed it; 0: none */
            complete_number: number;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            created_at: string;
            /** @description "0", or the id of the object once it is deleted */
            deleted: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            deleted_at: string | null;
            disk_id: string;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            id: string;
            instance: string;
            /** @description low water, counters and pass of the copy under way or last done */
            progress: {
                [key: string]: unknown;
            } | null;
            /** @description Bytes */
            size: number;
            /** @description The next execution starts from a change token */
            tracked: boolean;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            transfer_id: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            updated_at: string | null;
        };
        ReplicaDisksAnswer: {
            disks: components["schemas"]["ReplicaDisk"][];
        };
        Resource: {
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            created_at: string;
            /** @description As the platform described it last */
            data: {
                [key: string]: unknown;
            };
            /** @description "0", or the id of the object once it is deleted */
            deleted: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            deleted_at: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            endpoint_id: string;
            /** @description Its id at the platform */
            external_id: string;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            id: string;
            /** @enum {string} */
            kind: "instance" | "volume" | "network";
            migrated: boolean;
            name: string;
            project_id: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            updated_at: string | null;
        };
        ResourceAnswer: {
            resource: components["schemas"]["Resource"];
        };
        ResourcesAnswer: {
            resources: components["schemas"]["Resource"][];
        };
        /**
         * @example {
         *       "created_at": "2026-11-21T01:45:52.000000",
         *       "updated_at": null,
         *       "deleted_at": null,
         *       "deleted": "0",
         *       "id": "0d7bb3a2-7b43-4d7e-9d3c-6a0f8f9f1c55",
         *       "transfer_id": "a5f7d1b2-04c8-4f61-8f0b-5b1f2d6c7e90",
         *       "schedule": {
         *         "minute": 30,
         *         "hour": 2
         *       },
         *       "enabled": true,
         *       "expiration_date": null,
         *       "shutdown_instance": false,
         *       "auto_deploy": false,
         *       "trust_id": null
         *     }
         */
        Schedule: {
            auto_deploy: boolean;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            created_at: string;
            /** @description "0", or the id of the object once it is deleted */
            deleted: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            deleted_at: string | null;
            enabled: boolean;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            expiration_date: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            id: string;
            /** @description minute, hour, dom, month, dow; or cron and timezone */
            schedule: {
                [key: string]: unknown;
            };
            shutdown_instance: boolean;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            transfer_id: string;
            trust_id: string | null;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            updated_at: string | null;
        };
        ScheduleAnswer: {
            schedule: components["schemas"]["Schedule"];
        };
        ScheduleCreate: {
            /** @description Default false */
            auto_deploy?: boolean | null;
            /** @description Default true */
            enabled?: boolean | null;
            /** @description RFC 3339; from then on it never fires. Null clears it */
            expiration_date?: string | null;
            schedule?: components["schemas"]["ScheduleFields"] | null;
            /** @description Default false */
            shutdown_instance?: boolean | null;
        } & {
            [key: string]: unknown;
        };
        ScheduleFields: {
            /** @description Five fields of cron. An addition to the contract */
            cron?: string | null;
            /** @description Day of the month */
            dom?: number | null;
            /** @description Day of the week, 0 is Monday */
            dow?: number | null;
            /** @description UTC */
            hour?: number | null;
            /** @description UTC */
            minute?: number | null;
            month?: number | null;
            /** @description IANA zone that cron is read in; default UTC */
            timezone?: string | null;
        };
        SchedulesAnswer: {
            schedules: components["schemas"]["Schedule"][];
        };
        ScheduleUpdate: {
            /** @description Default false */
            auto_deploy?: boolean | null;
            /** @description Default true */
            enabled?: boolean | null;
            /** @description RFC 3339; from then on it never fires. Null clears it */
            expiration_date?: string | null;
            schedule?: components["schemas"]["ScheduleFields"] | null;
            /** @description Default false */
            shutdown_instance?: boolean | null;
        } & {
            [key: string]: unknown;
        };
        Service: {
            binary: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            created_at: string;
            /** @description "0", or the id of the object once it is deleted */
            deleted: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            deleted_at: string | null;
            enabled: boolean;
            host: string;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            id: string;
            mapped_regions: string[];
            /**
             * @description Platform name to the numbers of its abilities
             * @example {
             *       "libvirt": {
             *         "types": [
             *           4,
             *           8,
             *           16,
             *           32,
             *           128
             *         ]
             *       }
             *     }
             */
            providers: {
                [key: string]: {
                    types: number[];
                };
            } | null;
            /** @description application, packages, os_info, hostname, ip_addresses */
            specs: {
                [key: string]: unknown;
            } | null;
            /** @enum {string} */
            status: "UP" | "DOWN" | "UNKNOWN";
            topic: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            updated_at: string | null;
        };
        ServiceAnswer: {
            service: components["schemas"]["Service"];
        };
        ServiceCreate: {
            service: components["schemas"]["ServiceCreateBody"];
        } & {
            [key: string]: unknown;
        };
        ServiceCreateBody: {
            binary: string;
            /** @description Default true */
            enabled?: boolean | null;
            host: string;
            mapped_regions?: string[] | null;
            topic: string;
        } & {
            [key: string]: unknown;
        };
        ServicesAnswer: {
            services: components["schemas"]["Service"][];
        };
        ServiceUpdate: {
            service: components["schemas"]["ServiceUpdateBody"];
        } & {
            [key: string]: unknown;
        };
        ServiceUpdateBody: {
            enabled?: boolean;
            mapped_regions?: string[];
        } & {
            [key: string]: unknown;
        };
        SourceOptionsAnswer: {
            source_options: components["schemas"]["OptionValues"][];
        };
        SourcePoolOptionsAnswer: {
            source_minion_pool_options: components["schemas"]["OptionValues"][];
        };
        Storage: {
            storage_backends: components["schemas"]["StorageBackend"][];
        } & {
            [key: string]: unknown;
        };
        StorageAnswer: {
            storage: components["schemas"]["Storage"];
        };
        StorageBackend: {
            id: string;
            name: string;
        } & {
            [key: string]: unknown;
        };
        StorageMappings: {
            backend_mappings?: {
                destination: string;
                source: string;
            }[];
            default?: string | null;
            disk_mappings?: {
                destination: string;
                disk_id: string;
            }[];
        };
        Task: {
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            created_at: string;
            /** @description "0", or the id of the object once it is deleted */
            deleted: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            deleted_at: string | null;
            depends_on: string[] | null;
            error: components["schemas"]["TaskError"] | null;
            events: components["schemas"]["TaskEvent"][];
            exception_details: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            execution_id: string;
            host: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            id: string;
            index: number;
            instance: string;
            on_error: boolean | null;
            process_id: number | null;
            progress_updates: components["schemas"]["ProgressUpdate"][];
            /** @enum {string} */
            status: "SCHEDULED" | "PENDING" | "STARTING" | "UNSCHEDULED" | "RUNNING" | "SYNCING" | "COMPLETED" | "ERROR" | "FORCE_CANCELED" | "FAILED_TO_CANCEL" | "CANCELED" | "CANCELED_AFTER_COMPLETION" | "CANCELLING" | "CANCELLING_AFTER_COMPLETION" | "CANCELED_FOR_DEBUGGING" | "STRANDED_AFTER_DEADLOCK" | "EXECUTE_ON_ERROR_ONLY" | "FAILED_TO_SCHEDULE";
            task_type: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            updated_at: string | null;
        };
        TaskError: {
            [key: string]: unknown;
        };
        TaskEvent: {
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            created_at: string;
            /** @description "0", or the id of the object once it is deleted */
            deleted: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            deleted_at: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            id: string;
            index: number;
            /** @enum {string} */
            level: "INFO" | "WARNING" | "ERROR";
            message: string;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            task_id: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            updated_at: string | null;
        };
        TokenAction: {
            auth: Record<string, never>;
        };
        /**
         * @example {
         *       "created_at": "2026-11-21T01:45:52.000000",
         *       "updated_at": null,
         *       "deleted_at": null,
         *       "deleted": "0",
         *       "base_id": "a5f7d1b2-04c8-4f61-8f0b-5b1f2d6c7e90",
         *       "id": "a5f7d1b2-04c8-4f61-8f0b-5b1f2d6c7e90",
         *       "user_id": "0c4f8e0e-1f0e-4d0a-8f5e-5a1f3a0b7c22",
         *       "project_id": "d2f1b9f6-7a2c-4c9e-8a55-9c3f0e6b1a33",
         *       "type": "transfer",
         *       "scenario": "replica",
         *       "instances": [
         *         "web01"
         *       ],
         *       "executions": [],
         *       "reservation_id": null,
         *       "notes": null,
         *       "origin_endpoint_id": "6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11",
         *       "destination_endpoint_id": "9e4bb9a0-70cb-4b0f-b1f5-0b8b3e0d5a44",
         *       "origin_minion_pool_id": null,
         *       "destination_minion_pool_id": null,
         *       "instance_osmorphing_minion_pool_mappings": {},
         *       "source_environment": {},
         *       "destination_environment": {
         *         "network_map": {
         *           "default": "lan"
         *         },
         *         "storage_mappings": {}
         *       },
         *       "network_map": {
         *         "default": "lan"
         *       },
         *       "storage_mappings": {},
         *       "transfer_result": null,
         *       "last_execution_status": "UNEXECUTED",
         *       "user_scripts": {
         *         "global": {},
         *         "instances": {}
         *       },
         *       "clone_disks": true,
         *       "skip_os_morphing": false,
         *       "clustered": false,
         *       "options": {
         *         "rate_limit": 104857600
         *       }
         *     }
         */
        Transfer: {
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            base_id: string;
            clone_disks: boolean;
            clustered: boolean;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            created_at: string;
            /** @description "0", or the id of the object once it is deleted */
            deleted: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            deleted_at: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            destination_endpoint_id: string;
            /** @description Carries network_map and storage_mappings as well */
            destination_environment: {
                [key: string]: unknown;
            };
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            destination_minion_pool_id: string | null;
            executions: components["schemas"]["Execution"][];
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            id: string;
            /** @description Only with include_task_info: instance to what its tasks know */
            info?: {
                [key: string]: unknown;
            };
            /** @description Instance to minion pool id */
            instance_osmorphing_minion_pool_mappings: {
                [key: string]: string;
            };
            instances: string[];
            /** @enum {string} */
            last_execution_status: "UNEXECUTED" | "PENDING" | "RUNNING" | "COMPLETED" | "ERROR" | "DEADLOCKED" | "CANCELED" | "CANCELLING" | "CANCELED_FOR_DEBUGGING" | "AWAITING_MINION_ALLOCATIONS" | "ERROR_ALLOCATING_MINIONS";
            /** @description Source network to destination network */
            network_map: {
                [key: string]: unknown;
            };
            notes: string | null;
            options: components["schemas"]["TransferOptions"];
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            origin_endpoint_id: string;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            origin_minion_pool_id: string | null;
            project_id: string;
            reservation_id: string | null;
            /** @enum {string} */
            scenario: "replica" | "live_migration";
            skip_os_morphing: boolean;
            source_environment: {
                [key: string]: unknown;
            };
            storage_mappings: {
                [key: string]: unknown;
            };
            /** @description Instance to what it has become */
            transfer_result: {
                [key: string]: unknown;
            } | null;
            type: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            updated_at: string | null;
            user_id: string;
            /** @description global (by OS type) and instances */
            user_scripts: {
                [key: string]: unknown;
            };
        };
        TransferAnswer: {
            transfer: components["schemas"]["Transfer"];
        };
        TransferCreate: {
            transfer: components["schemas"]["TransferCreateBody"];
        };
        TransferCreateBody: {
            /** @description Default true */
            clone_disks?: boolean | null;
            destination_endpoint_id: string;
            destination_environment?: {
                [key: string]: unknown;
            } | null;
            destination_minion_pool_id?: string | null;
            instance_osmorphing_minion_pool_mappings?: {
                [key: string]: string;
            } | null;
            instances?: string[];
            network_map?: {
                [key: string]: unknown;
            } | null;
            notes?: string | null;
            options?: components["schemas"]["TransferOptions"] | null;
            origin_endpoint_id: string;
            origin_minion_pool_id?: string | null;
            /** @description replica (default) or live_migration */
            scenario?: string | null;
            /** @description Default false */
            skip_os_morphing?: boolean | null;
            source_environment?: {
                [key: string]: unknown;
            } | null;
            storage_mappings?: components["schemas"]["StorageMappings"] | null;
            user_scripts?: {
                [key: string]: unknown;
            } | null;
        } & {
            [key: string]: unknown;
        };
        TransferLimits: {
            /** @description Bytes per second and direction, over all disks of the transfer; null: none */
            rate_limit: number | null;
        };
        TransferLimitsAnswer: {
            limits: components["schemas"]["TransferLimits"];
        };
        TransferLimitsUpdate: {
            limits: components["schemas"]["TransferLimits"];
        } & {
            [key: string]: unknown;
        };
        TransferOptions: {
            /** @enum {string|null} */
            audit?: "sample" | "whole" | null;
            /** @description Bytes per second over all disks of the transfer; null: none */
            rate_limit?: number | null;
            /** @enum {string|null} */
            verify?: "changed" | "whole" | null;
        };
        TransfersAnswer: {
            transfers: components["schemas"]["Transfer"][];
        };
        TransferUpdate: {
            transfer: components["schemas"]["TransferUpdateBody"];
        } & {
            [key: string]: unknown;
        };
        TransferUpdateBody: {
            /** @description Default true */
            clone_disks?: boolean | null;
            destination_endpoint_id?: string | null;
            destination_environment?: {
                [key: string]: unknown;
            } | null;
            destination_minion_pool_id?: string | null;
            instance_osmorphing_minion_pool_mappings?: {
                [key: string]: string;
            } | null;
            instances?: string[] | null;
            network_map?: {
                [key: string]: unknown;
            } | null;
            notes?: string | null;
            options?: components["schemas"]["TransferOptions"] | null;
            origin_endpoint_id?: string | null;
            origin_minion_pool_id?: string | null;
            scenario?: string | null;
            /** @description Default false */
            skip_os_morphing?: boolean | null;
            source_environment?: {
                [key: string]: unknown;
            } | null;
            storage_mappings?: components["schemas"]["StorageMappings"] | null;
            user_scripts?: {
                [key: string]: unknown;
            } | null;
        } & {
            [key: string]: unknown;
        };
        UserCreate: {
            user: {
                default_project_id?: string | null;
                enabled?: boolean;
                name: string;
                password: string;
            } & {
                [key: string]: unknown;
            };
        };
        UserUpdate: {
            user: {
                default_project_id?: string | null;
                enabled?: boolean;
                name?: string;
                password?: string;
            } & {
                [key: string]: unknown;
            };
        };
        ValidateConnectionAnswer: {
            "validate-connection": {
                message: string | null;
                valid: boolean;
            };
        };
        Versions: {
            [key: string]: unknown;
        };
        /**
         * @example {
         *       "created_at": "2026-11-21T01:45:52.000000",
         *       "updated_at": null,
         *       "deleted_at": null,
         *       "deleted": "0",
         *       "id": "4d1c9a40-0a5e-4d0a-8c43-9c2c8f2d6a01",
         *       "project_id": "0f4a9f4f5c0b4d0b8a3b9d1e2f3a4b5c",
         *       "user_id": "7c2c8f2d6a014d1c9a400a5e4d0a8c43",
         *       "name": "pager",
         *       "url": "https://hooks.example.org/godwit",
         *       "events": [
         *         "execution",
         *         "deployment"
         *       ],
         *       "statuses": [
         *         "COMPLETED",
         *         "ERROR"
         *       ],
         *       "enabled": true
         *     }
         */
        Webhook: {
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            created_at: string;
            /** @description "0", or the id of the object once it is deleted */
            deleted: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            deleted_at: string | null;
            enabled: boolean;
            /** @description Types of events, or their first words: execution.updated, schedule. Empty: all but those of tasks, progress and webhooks */
            events: string[];
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            id: string;
            name: string;
            /** @description Whose events it hears */
            project_id: string;
            /** @description Of events that tell a status, only those that tell one of these; others, such as transfer.created, are sent all the same. Empty: all */
            statuses: ("UNEXECUTED" | "PENDING" | "RUNNING" | "COMPLETED" | "ERROR" | "DEADLOCKED" | "CANCELED" | "CANCELLING" | "CANCELED_FOR_DEBUGGING" | "AWAITING_MINION_ALLOCATIONS" | "ERROR_ALLOCATING_MINIONS" | "SCHEDULED" | "STARTING" | "UNSCHEDULED" | "SYNCING" | "FORCE_CANCELED" | "FAILED_TO_CANCEL" | "CANCELED_AFTER_COMPLETION" | "CANCELLING_AFTER_COMPLETION" | "STRANDED_AFTER_DEADLOCK" | "EXECUTE_ON_ERROR_ONLY" | "FAILED_TO_SCHEDULE" | "UNKNOWN" | "DEALLOCATED" | "VALIDATING_INPUTS" | "ALLOCATING_SHARED_RESOURCES" | "ALLOCATING_MACHINES" | "DEALLOCATING_MACHINES" | "DEALLOCATING_SHARED_RESOURCES" | "ALLOCATED" | "IN_MAINTENANCE")[];
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            updated_at: string | null;
            url: string;
            /** @description Who made it */
            user_id: string;
        };
        WebhookAction: {
            /** @description Signs with a new secret from now on */
            "rotate-secret"?: null;
            /** @description Sends an event of type webhook.test */
            test?: null;
        } & {
            [key: string]: unknown;
        };
        WebhookAnswer: {
            webhook: components["schemas"]["Webhook"];
        };
        WebhookCreate: {
            webhook: components["schemas"]["WebhookCreateBody"];
        } & {
            [key: string]: unknown;
        };
        WebhookCreateBody: {
            /** @description Default true */
            enabled?: boolean | null;
            /** @description Types of events, or their first words: execution.updated, schedule. Empty: all but those of tasks, progress and webhooks */
            events?: string[] | null;
            name: string;
            /** @description Another project, for administrators. Default: the own one */
            project_id?: string | null;
            /** @description whsec_ and the base64 of 24 to 64 bytes. Default: one is made */
            secret?: string | null;
            /** @description Of events that tell a status, only those that tell one of these; others, such as transfer.created, are sent all the same. Empty: all */
            statuses?: ("UNEXECUTED" | "PENDING" | "RUNNING" | "COMPLETED" | "ERROR" | "DEADLOCKED" | "CANCELED" | "CANCELLING" | "CANCELED_FOR_DEBUGGING" | "AWAITING_MINION_ALLOCATIONS" | "ERROR_ALLOCATING_MINIONS" | "SCHEDULED" | "STARTING" | "UNSCHEDULED" | "SYNCING" | "FORCE_CANCELED" | "FAILED_TO_CANCEL" | "CANCELED_AFTER_COMPLETION" | "CANCELLING_AFTER_COMPLETION" | "STRANDED_AFTER_DEADLOCK" | "EXECUTE_ON_ERROR_ONLY" | "FAILED_TO_SCHEDULE" | "UNKNOWN" | "DEALLOCATED" | "VALIDATING_INPUTS" | "ALLOCATING_SHARED_RESOURCES" | "ALLOCATING_MACHINES" | "DEALLOCATING_MACHINES" | "DEALLOCATING_SHARED_RESOURCES" | "ALLOCATED" | "IN_MAINTENANCE")[] | null;
            /** @description http or https, without a user; redirects are not followed */
            url: string;
        } & {
            [key: string]: unknown;
        };
        WebhookDeliveriesAnswer: {
            deliveries: components["schemas"]["WebhookDelivery"][];
        };
        WebhookDelivery: {
            attempts: number;
            /** @description As it is sent */
            body: {
                [key: string]: unknown;
            };
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            created_at: string;
            /** @description "0", or the id of the object once it is deleted */
            deleted: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            deleted_at: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            id: string;
            last_error: string | null;
            /** @description HTTP status of the last answer */
            last_status: number | null;
            /**
             * @description Of the next attempt
             * @example 2026-11-21T01:45:52.000000
             */
            next_at: string | null;
            /**
             * @description waiting: for its first or next attempt; failed: given up
             * @enum {string}
             */
            state: "waiting" | "delivered" | "failed";
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            updated_at: string | null;
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            webhook_id: string;
        };
        WebhookDeliveryAction: {
            /** @description All attempts again, for one that was given up */
            retry?: null;
        } & {
            [key: string]: unknown;
        };
        WebhookDeliveryAnswer: {
            delivery: components["schemas"]["WebhookDelivery"];
        };
        WebhooksAnswer: {
            webhooks: components["schemas"]["Webhook"][];
        };
        WebhookSecretAnswer: {
            webhook: components["schemas"]["WebhookWithSecret"];
        };
        WebhookUpdate: {
            webhook: components["schemas"]["WebhookUpdateBody"];
        } & {
            [key: string]: unknown;
        };
        WebhookUpdateBody: {
            enabled?: boolean;
            /** @description Types of events, or their first words: execution.updated, schedule. Empty: all but those of tasks, progress and webhooks */
            events?: string[];
            name?: string;
            /** @description Of events that tell a status, only those that tell one of these; others, such as transfer.created, are sent all the same. Empty: all */
            statuses?: ("UNEXECUTED" | "PENDING" | "RUNNING" | "COMPLETED" | "ERROR" | "DEADLOCKED" | "CANCELED" | "CANCELLING" | "CANCELED_FOR_DEBUGGING" | "AWAITING_MINION_ALLOCATIONS" | "ERROR_ALLOCATING_MINIONS" | "SCHEDULED" | "STARTING" | "UNSCHEDULED" | "SYNCING" | "FORCE_CANCELED" | "FAILED_TO_CANCEL" | "CANCELED_AFTER_COMPLETION" | "CANCELLING_AFTER_COMPLETION" | "STRANDED_AFTER_DEADLOCK" | "EXECUTE_ON_ERROR_ONLY" | "FAILED_TO_SCHEDULE" | "UNKNOWN" | "DEALLOCATED" | "VALIDATING_INPUTS" | "ALLOCATING_SHARED_RESOURCES" | "ALLOCATING_MACHINES" | "DEALLOCATING_MACHINES" | "DEALLOCATING_SHARED_RESOURCES" | "ALLOCATED" | "IN_MAINTENANCE")[];
            /** @description http or https, without a user; redirects are not followed */
            url?: string;
        } & {
            [key: string]: unknown;
        };
        /**
         * @example {
         *       "created_at": "2026-11-21T01:45:52.000000",
         *       "updated_at": null,
         *       "deleted_at": null,
         *       "deleted": "0",
         *       "id": "4d1c9a40-0a5e-4d0a-8c43-9c2c8f2d6a01",
         *       "project_id": "0f4a9f4f5c0b4d0b8a3b9d1e2f3a4b5c",
         *       "user_id": "7c2c8f2d6a014d1c9a400a5e4d0a8c43",
         *       "name": "pager",
         *       "url": "https://hooks.example.org/godwit",
         *       "events": [
         *         "execution",
         *         "deployment"
         *       ],
         *       "statuses": [
         *         "COMPLETED",
         *         "ERROR"
         *       ],
         *       "enabled": true,
         *       "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
         *     }
         */
        WebhookWithSecret: {
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            created_at: string;
            /** @description "0", or the id of the object once it is deleted */
            deleted: string;
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            deleted_at: string | null;
            enabled: boolean;
            /** @description Types of events, or their first words: execution.updated, schedule. Empty: all but those of tasks, progress and webhooks */
            events: string[];
            /**
             * @description UUID
             * @example 6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11
             */
            id: string;
            name: string;
            /** @description Whose events it hears */
            project_id: string;
            /** @description Made here and shown this once; null: given by you */
            secret: string | null;
            /** @description Of events that tell a status, only those that tell one of these; others, such as transfer.created, are sent all the same. Empty: all */
            statuses: ("UNEXECUTED" | "PENDING" | "RUNNING" | "COMPLETED" | "ERROR" | "DEADLOCKED" | "CANCELED" | "CANCELLING" | "CANCELED_FOR_DEBUGGING" | "AWAITING_MINION_ALLOCATIONS" | "ERROR_ALLOCATING_MINIONS" | "SCHEDULED" | "STARTING" | "UNSCHEDULED" | "SYNCING" | "FORCE_CANCELED" | "FAILED_TO_CANCEL" | "CANCELED_AFTER_COMPLETION" | "CANCELLING_AFTER_COMPLETION" | "STRANDED_AFTER_DEADLOCK" | "EXECUTE_ON_ERROR_ONLY" | "FAILED_TO_SCHEDULE" | "UNKNOWN" | "DEALLOCATED" | "VALIDATING_INPUTS" | "ALLOCATING_SHARED_RESOURCES" | "ALLOCATING_MACHINES" | "DEALLOCATING_MACHINES" | "DEALLOCATING_SHARED_RESOURCES" | "ALLOCATED" | "IN_MAINTENANCE")[];
            /**
             * @description UTC, six fraction digits, no zone
             * @example 2026-11-21T01:45:52.000000
             */
            updated_at: string | null;
            url: string;
            /** @description Who made it */
            user_id: string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    listVersions: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Versions"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listAuditRecords: {
        parameters: {
            query?: {
                /** @description Records at most; default and most 1000 */
                limit?: string;
                /** @description Number of the last record seen */
                marker?: string;
                /** @description Only of this project */
                project?: string;
                /** @description true: prove the whole chain of hashes */
                verify?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AuditAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listDeployments: {
        parameters: {
            query?: {
                /** @description Default false */
                include_task_info?: string;
                /** @description Items at most; 0 gives none */
                limit?: string;
                /** @description Id of the last item seen */
                marker?: string;
                /** @description replica or live_migration; default both */
                scenario?: string;
                /** @description Default false */
                show_deleted?: string;
                /** @description asc or desc, one per sort_key */
                sort_dir?: string[];
                /** @description Any column; repeatable */
                sort_key?: string[];
                /** @description Of the last execution */
                status?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeploymentsAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    createDeployment: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "deployment": {
                 *         "transfer_id": "6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11",
                 *         "clone_disks": true
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["DeploymentCreate"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeploymentAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getDeployment: {
        parameters: {
            query?: {
                /** @description true: with info */
                include_task_info?: string;
            };
            header?: never;
            path: {
                deployment_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeploymentAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    deleteDeployment: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                deployment_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Done; no body */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    actOnDeployment: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                deployment_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CancelAction"];
            };
        };
        responses: {
            /** @description Done; no body */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listDeploymentsDetail: {
        parameters: {
            query?: {
                /** @description Default false */
                include_task_info?: string;
                /** @description Items at most; 0 gives none */
                limit?: string;
                /** @description Id of the last item seen */
                marker?: string;
                /** @description replica or live_migration; default both */
                scenario?: string;
                /** @description Default false */
                show_deleted?: string;
                /** @description asc or desc, one per sort_key */
                sort_dir?: string[];
                /** @description Any column; repeatable */
                sort_key?: string[];
                /** @description Of the last execution */
                status?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeploymentsAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getDiagnostics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DiagnosticsAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listEndpoints: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EndpointsAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    createEndpoint: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "endpoint": {
                 *         "name": "lab",
                 *         "type": "libvirt",
                 *         "connection_info": {
                 *           "uri": "qemu+ssh://root@kvm1.example.org/system"
                 *         }
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["EndpointCreate"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EndpointAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getEndpoint: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                endpoint_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EndpointAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    updateEndpoint: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                endpoint_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "endpoint": {
                 *         "description": "rack 4"
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["EndpointUpdate"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EndpointAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    deleteEndpoint: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                endpoint_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Done; no body */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    actOnEndpoint: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                endpoint_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "validate-connection": null
                 *     }
                 */
                "application/json": components["schemas"]["EndpointAction"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ValidateConnectionAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listEndpointDestinationPoolOptions: {
        parameters: {
            query?: {
                /** @description URL-safe base64 of a JSON object: the source or destination environment */
                env?: string;
                /** @description URL-safe base64 of a JSON array: names of the wanted options */
                options?: string;
            };
            header?: never;
            path: {
                endpoint_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DestinationPoolOptionsAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listEndpointDestinationOptions: {
        parameters: {
            query?: {
                /** @description URL-safe base64 of a JSON object: the source or destination environment */
                env?: string;
                /** @description URL-safe base64 of a JSON array: names of the wanted options */
                options?: string;
            };
            header?: never;
            path: {
                endpoint_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DestinationOptionsAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listEndpointInstances: {
        parameters: {
            query?: {
                /** @description URL-safe base64 of a JSON object: the source or destination environment */
                env?: string;
                /** @description Items at most */
                limit?: string;
                /** @description Id of the last item seen */
                marker?: string;
                /** @description Part of the name */
                name?: string;
                /** @description true: not from a cache */
                refresh?: string;
            };
            header?: never;
            path: {
                endpoint_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["InstancesAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getEndpointInstance: {
        parameters: {
            query?: {
                /** @description URL-safe base64 of a JSON object: the source or destination environment */
                env?: string;
            };
            header?: never;
            path: {
                endpoint_id: string;
                instance: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["InstanceAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getEndpointInventory: {
        parameters: {
            query?: {
                /** @description URL-safe base64 of a JSON object: the source or destination environment */
                env?: string;
            };
            header?: never;
            path: {
                endpoint_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": string;
                    "text/csv": string;
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                    "text/csv": components["schemas"]["Error"];
                };
            };
        };
    };
    getEndpointLimits: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                endpoint_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EndpointLimitsAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    updateEndpointLimits: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                endpoint_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "limits": {
                 *         "rate_limit": 104857600
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["LimitsUpdate"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EndpointLimitsAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listEndpointNetworks: {
        parameters: {
            query?: {
                /** @description URL-safe base64 of a JSON object: the source or destination environment */
                env?: string;
            };
            header?: never;
            path: {
                endpoint_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["NetworksAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listEndpointSourcePoolOptions: {
        parameters: {
            query?: {
                /** @description URL-safe base64 of a JSON object: the source or destination environment */
                env?: string;
                /** @description URL-safe base64 of a JSON array: names of the wanted options */
                options?: string;
            };
            header?: never;
            path: {
                endpoint_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SourcePoolOptionsAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listEndpointSourceOptions: {
        parameters: {
            query?: {
                /** @description URL-safe base64 of a JSON object: the source or destination environment */
                env?: string;
                /** @description URL-safe base64 of a JSON array: names of the wanted options */
                options?: string;
            };
            header?: never;
            path: {
                endpoint_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SourceOptionsAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listEndpointStorage: {
        parameters: {
            query?: {
                /** @description URL-safe base64 of a JSON object: the source or destination environment */
                env?: string;
            };
            header?: never;
            path: {
                endpoint_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["StorageAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    followEvents: {
        parameters: {
            query?: {
                /** @description In place of the header; 0: from the oldest event that is kept */
                last_event_id?: string;
                /** @description Only events of this object */
                object_id?: string;
                /** @description Only these types, separated by commas; "execution" stands for all that begin so */
                type?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description text/event-stream */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": string;
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": components["schemas"]["Error"];
                };
            };
        };
    };
    getHealth: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getIdentityVersion: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    };
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IdentityError"];
                };
            };
        };
    };
    getIdentityVersionSlash: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    };
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IdentityError"];
                };
            };
        };
    };
    getCatalog: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    };
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IdentityError"];
                };
            };
        };
    };
    listAuthProjects: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    };
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IdentityError"];
                };
            };
        };
    };
    getToken: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    };
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IdentityError"];
                };
            };
        };
    };
    createToken: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "auth": {
                 *         "identity": {
                 *           "methods": [
                 *             "password"
                 *           ],
                 *           "password": {
                 *             "user": {
                 *               "name": "admin",
                 *               "domain": {
                 *                 "id": "default"
                 *               },
                 *               "password": "secret"
                 *             }
                 *           }
                 *         },
                 *         "scope": {
                 *           "project": {
                 *             "name": "admin",
                 *             "domain": {
                 *               "id": "default"
                 *             }
                 *           }
                 *         }
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["TokenAction"];
            };
        };
        responses: {
            /** @description Default Response */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    };
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IdentityError"];
                };
            };
        };
    };
    revokeToken: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Done; no body */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IdentityError"];
                };
            };
        };
    };
    listProjects: {
        parameters: {
            query?: {
                /** @description Only of this name */
                name?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    };
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IdentityError"];
                };
            };
        };
    };
    createProject: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "project": {
                 *         "name": "tenant",
                 *         "description": "the second floor"
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["ProjectCreate"];
            };
        };
        responses: {
            /** @description Default Response */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    };
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IdentityError"];
                };
            };
        };
    };
    getProject: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                project_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    };
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IdentityError"];
                };
            };
        };
    };
    deleteProject: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                project_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Done; no body */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IdentityError"];
                };
            };
        };
    };
    updateProject: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                project_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "project": {
                 *         "description": "the third floor"
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["ProjectUpdate"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    };
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IdentityError"];
                };
            };
        };
    };
    giveRole: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                project_id: string;
                role: string;
                user_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Done; no body */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IdentityError"];
                };
            };
        };
    };
    takeRole: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                project_id: string;
                role: string;
                user_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Done; no body */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IdentityError"];
                };
            };
        };
    };
    listRoleAssignments: {
        parameters: {
            query?: {
                /** @description Names beside ids */
                include_names?: string;
                /** @description Only this role */
                "role.id"?: string;
                /** @description Only in this project */
                "scope.project.id"?: string;
                /** @description Only of this user */
                "user.id"?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    };
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IdentityError"];
                };
            };
        };
    };
    listRoles: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    };
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IdentityError"];
                };
            };
        };
    };
    listUsers: {
        parameters: {
            query?: {
                /** @description Only of this name */
                name?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    };
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IdentityError"];
                };
            };
        };
    };
    createUser: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "user": {
                 *         "name": "mona",
                 *         "password": "a long secret"
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["UserCreate"];
            };
        };
        responses: {
            /** @description Default Response */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    };
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IdentityError"];
                };
            };
        };
    };
    getUser: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                user_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    };
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IdentityError"];
                };
            };
        };
    };
    deleteUser: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                user_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Done; no body */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IdentityError"];
                };
            };
        };
    };
    updateUser: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                user_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "user": {
                 *         "enabled": false
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["UserUpdate"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    };
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IdentityError"];
                };
            };
        };
    };
    listLedger: {
        parameters: {
            query?: {
                /** @description Default false */
                include_task_info?: string;
                /** @description Items at most; 0 gives none */
                limit?: string;
                /** @description Id of the last item seen */
                marker?: string;
                /** @description replica or live_migration; default both */
                scenario?: string;
                /** @description Default false */
                show_deleted?: string;
                /** @description asc or desc, one per sort_key */
                sort_dir?: string[];
                /** @description Any column; repeatable */
                sort_key?: string[];
                /** @description Of the last execution */
                status?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["LedgerAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listLogs: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["LogsAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    downloadLog: {
        parameters: {
            query?: {
                /** @description Seconds since 1970 */
                end_date?: string;
                /** @description Seconds since 1970 */
                start_date?: string;
            };
            header?: never;
            path: {
                log_name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": components["schemas"]["Error"];
                };
            };
        };
    };
    getMetrics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": components["schemas"]["Error"];
                };
            };
        };
    };
    listMigrations: {
        parameters: {
            query?: {
                /** @description Default false */
                show_deleted?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MigrationsAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    createMigration: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["MigrationCreate"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MigrationAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getMigration: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                migration_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MigrationAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    deleteMigration: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                migration_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Done; no body */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    actOnMigration: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                migration_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CancelAction"];
            };
        };
        responses: {
            /** @description Done; no body */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listMigrationsDetail: {
        parameters: {
            query?: {
                /** @description Default false */
                show_deleted?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MigrationsAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listMinionPools: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MinionPoolsAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    createMinionPool: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "minion_pool": {
                 *         "name": "helpers",
                 *         "endpoint_id": "6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11",
                 *         "os_type": "linux",
                 *         "platform": "source",
                 *         "environment_options": {},
                 *         "minimum_minions": 1,
                 *         "maximum_minions": 2,
                 *         "skip_allocation": true
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["MinionPoolCreate"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MinionPoolAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getMinionPool: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                minion_pool_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MinionPoolAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    updateMinionPool: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                minion_pool_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "minion_pool": {
                 *         "maximum_minions": 4
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["MinionPoolUpdate"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MinionPoolAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    deleteMinionPool: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                minion_pool_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Done; no body */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    actOnMinionPool: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                minion_pool_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "deallocate": {
                 *         "force": false
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["MinionPoolAction"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MinionPoolAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listProviders: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Providers"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getProviderSchemas: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                platform: string;
                type: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProviderSchemas"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getReadiness: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listReceipts: {
        parameters: {
            query?: {
                /** @description Default false */
                include_task_info?: string;
                /** @description Items at most; 0 gives none */
                limit?: string;
                /** @description Id of the last item seen */
                marker?: string;
                /** @description replica or live_migration; default both */
                scenario?: string;
                /** @description Default false */
                show_deleted?: string;
                /** @description asc or desc, one per sort_key */
                sort_dir?: string[];
                /** @description Any column; repeatable */
                sort_key?: string[];
                /** @description Of the last execution */
                status?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReceiptsAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getReceipt: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                receipt_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The signed document, as docs/receipt.md describes it */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Receipt"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getReceiptLeaves: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                receipt_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/octet-stream": string;
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/octet-stream": components["schemas"]["Error"];
                };
            };
        };
    };
    getReceiptKey: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                key_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReceiptKeyAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listRegions: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RegionsAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    createRegion: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "region": {
                 *         "name": "north",
                 *         "description": "the cold one"
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["RegionCreate"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RegionAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getRegion: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                region_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RegionAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    updateRegion: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                region_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "region": {
                 *         "enabled": false
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["RegionUpdate"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RegionAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    deleteRegion: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                region_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Done; no body */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listResources: {
        parameters: {
            query?: {
                /** @description Default false */
                include_task_info?: string;
                /** @description Items at most; 0 gives none */
                limit?: string;
                /** @description Id of the last item seen */
                marker?: string;
                /** @description replica or live_migration; default both */
                scenario?: string;
                /** @description Default false */
                show_deleted?: string;
                /** @description asc or desc, one per sort_key */
                sort_dir?: string[];
                /** @description Any column; repeatable */
                sort_key?: string[];
                /** @description Of the last execution */
                status?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ResourcesAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getResource: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                resource_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ResourceAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listServices: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ServicesAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    createService: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "service": {
                 *         "host": "worker1",
                 *         "binary": "godwit-worker",
                 *         "topic": "godwit_worker.0"
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["ServiceCreate"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ServiceAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getService: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                service_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ServiceAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    updateService: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                service_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "service": {
                 *         "enabled": false,
                 *         "mapped_regions": []
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["ServiceUpdate"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ServiceAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    deleteService: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                service_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Done; no body */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listTransfers: {
        parameters: {
            query?: {
                /** @description Default false */
                include_task_info?: string;
                /** @description Items at most; 0 gives none */
                limit?: string;
                /** @description Id of the last item seen */
                marker?: string;
                /** @description replica or live_migration; default both */
                scenario?: string;
                /** @description Default false */
                show_deleted?: string;
                /** @description asc or desc, one per sort_key */
                sort_dir?: string[];
                /** @description Any column; repeatable */
                sort_key?: string[];
                /** @description Of the last execution */
                status?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TransfersAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    createTransfer: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "transfer": {
                 *         "origin_endpoint_id": "6f1c2a4e-52b1-4c8e-9f0a-2d0c0c6f4b11",
                 *         "destination_endpoint_id": "a5f7d1b2-04c8-4f61-8f0b-5b1f2d6c7e90",
                 *         "instances": [
                 *           "web01"
                 *         ],
                 *         "scenario": "replica",
                 *         "network_map": {
                 *           "default": "default"
                 *         }
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["TransferCreate"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TransferAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getTransfer: {
        parameters: {
            query?: {
                /** @description true: with info */
                include_task_info?: string;
            };
            header?: never;
            path: {
                transfer_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TransferAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    updateTransfer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                transfer_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "transfer": {
                 *         "network_map": {
                 *           "default": "lan"
                 *         },
                 *         "notes": "after the holidays"
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["TransferUpdate"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ExecutionAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    deleteTransfer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                transfer_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Done; no body */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    actOnTransfer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                transfer_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "delete-disks": null
                 *     }
                 */
                "application/json": components["schemas"]["DeleteDisksAction"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ExecutionAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listTransferDisks: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                transfer_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReplicaDisksAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listExecutions: {
        parameters: {
            query?: {
                /** @description Default false */
                include_task_info?: string;
                /** @description Items at most; 0 gives none */
                limit?: string;
                /** @description Id of the last item seen */
                marker?: string;
                /** @description replica or live_migration; default both */
                scenario?: string;
                /** @description Default false */
                show_deleted?: string;
                /** @description asc or desc, one per sort_key */
                sort_dir?: string[];
                /** @description Any column; repeatable */
                sort_key?: string[];
                /** @description Of the last execution */
                status?: string;
            };
            header?: never;
            path: {
                transfer_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ExecutionsAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    createExecution: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                transfer_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "execution": {
                 *         "shutdown_instances": false,
                 *         "auto_deploy": false
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["ExecutionCreate"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ExecutionAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getExecution: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                execution_id: string;
                transfer_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ExecutionAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    deleteExecution: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                execution_id: string;
                transfer_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Done; no body */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    actOnExecution: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                execution_id: string;
                transfer_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CancelAction"];
            };
        };
        responses: {
            /** @description Done; no body */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listExecutionsDetail: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                transfer_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ExecutionsAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getTransferLimits: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                transfer_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TransferLimitsAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    updateTransferLimits: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                transfer_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "limits": {
                 *         "rate_limit": 104857600
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["TransferLimitsUpdate"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TransferLimitsAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listSchedules: {
        parameters: {
            query?: {
                /** @description Default true */
                show_expired?: string;
            };
            header?: never;
            path: {
                transfer_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SchedulesAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    createSchedule: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                transfer_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "schedule": {
                 *         "minute": 30,
                 *         "hour": 2
                 *       },
                 *       "enabled": true,
                 *       "shutdown_instance": false,
                 *       "auto_deploy": false
                 *     }
                 */
                "application/json": components["schemas"]["ScheduleCreate"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ScheduleAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getSchedule: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                schedule_id: string;
                transfer_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ScheduleAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    updateSchedule: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                schedule_id: string;
                transfer_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "enabled": false,
                 *       "expiration_date": null
                 *     }
                 */
                "application/json": components["schemas"]["ScheduleUpdate"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ScheduleAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    deleteSchedule: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                schedule_id: string;
                transfer_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Done; no body */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listTransfersDetail: {
        parameters: {
            query?: {
                /** @description Default false */
                include_task_info?: string;
                /** @description Items at most; 0 gives none */
                limit?: string;
                /** @description Id of the last item seen */
                marker?: string;
                /** @description replica or live_migration; default both */
                scenario?: string;
                /** @description Default false */
                show_deleted?: string;
                /** @description asc or desc, one per sort_key */
                sort_dir?: string[];
                /** @description Any column; repeatable */
                sort_key?: string[];
                /** @description Of the last execution */
                status?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TransfersAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listWebhooks: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WebhooksAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    createWebhook: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "webhook": {
                 *         "name": "pager",
                 *         "url": "https://hooks.example.org/godwit",
                 *         "events": [
                 *           "execution",
                 *           "deployment"
                 *         ]
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["WebhookCreate"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WebhookSecretAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getWebhook: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                webhook_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WebhookAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    updateWebhook: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                webhook_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "webhook": {
                 *         "enabled": false
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["WebhookUpdate"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WebhookAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    deleteWebhook: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                webhook_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Done; no body */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    actOnWebhook: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                webhook_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "test": null
                 *     }
                 */
                "application/json": components["schemas"]["WebhookAction"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WebhookSecretAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    listWebhookDeliveries: {
        parameters: {
            query?: {
                /** @description At most; default 100, most 1000 */
                limit?: string;
                /** @description Only waiting, delivered or failed ones */
                state?: string;
            };
            header?: never;
            path: {
                webhook_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WebhookDeliveriesAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    actOnWebhookDelivery: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                delivery_id: string;
                webhook_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "retry": null
                 *     }
                 */
                "application/json": components["schemas"]["WebhookDeliveryAction"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WebhookDeliveryAnswer"];
                };
            };
            /** @description Refused */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
}
