using 'main.bicep'

param name = 'platform'

// openssl rand -hex 32: kept in the vault, and nowhere else.
param postgresPassword = readEnvironmentVariable('PLATFORM_POSTGRES_PASSWORD')
