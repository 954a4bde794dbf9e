using 'main.bicep'

// To look at, not to rely on: one zone, few instances, the smallest server.
param name = 'platformdev'
param postgresSku = 'Standard_B2s'
param postgresTier = 'Burstable'
param postgresStorageGB = 32
param postgresHighAvailability = 'Disabled'
param maximumInstanceCount = 2
param shareQuotaGB = 10

// openssl rand -hex 32: kept in the vault, and nowhere else.
param postgresPassword = readEnvironmentVariable('PLATFORM_POSTGRES_PASSWORD')
