// Platform on Azure Functions (Flex Consumption, custom handler): docs/azure-functions.md tells how to deploy it and what it costs.
//
// No secret is a parameter of a person's: the database's password and the share's key are handed from module to module within the deployment, and stand in Key
// Vault or in the site's own configuration. Everything else is reached by the app's managed identity. Nothing but the functions' own address is public.
targetScope = 'resourceGroup'

@description('Begins the names of all resources; lower-case letters and digits.')
@minLength(3)
@maxLength(11)
param name string

param location string = resourceGroup().location

@description('Of the PostgreSQL server: the app keeps session locks and LISTEN, so every connection is a real one.')
param postgresSku string = 'Standard_D2ds_v5'

@allowed(['GeneralPurpose', 'MemoryOptimized', 'Burstable'])
param postgresTier string = 'GeneralPurpose'

@description('GiB. Events are kept for good.')
param postgresStorageGB int = 128

@description('Zone-redundant costs twice, and survives the loss of a zone without losing an acknowledged commit.')
@allowed(['Disabled', 'SameZone', 'ZoneRedundant'])
param postgresHighAvailability string = 'ZoneRedundant'

@description('More instances need more connections: about 4 + 2 for each message that an instance executes at once.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 20

@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('GiB of the share for before-images.')
param shareQuotaGB int = 100

@description('Who may read the secrets beside the app, for example to rotate them: object id of a group. Empty: nobody.')
param vaultAdministrators string = ''

@secure()
@description('Of the database; letters and digits. The app reads it through Key Vault: nobody else need know it.')
@minLength(32)
param postgresPassword string

var suffix = uniqueString(resourceGroup().id, name)

module network 'modules/network.bicep' = {
  name: 'network'
  params: { name: name, location: location }
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  params: { name: name, location: location }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  params: {
    name: take('${name}${suffix}', 24)
    filesName: take('${name}f${suffix}', 24)
    location: location
    principalId: identity.outputs.principalId
    subnetId: network.outputs.endpointSubnetId
    zoneIds: network.outputs.storageZoneIds
    shareQuotaGB: shareQuotaGB
  }
}

module postgres 'modules/postgres.bicep' = {
  name: 'postgres'
  params: {
    name: '${name}-${suffix}'
    location: location
    sku: postgresSku
    tier: postgresTier
    storageGB: postgresStorageGB
    highAvailability: postgresHighAvailability
    subnetId: network.outputs.postgresSubnetId
    zoneId: network.outputs.postgresZoneId
    password: postgresPassword
  }
}

module vault 'modules/keyvault.bicep' = {
  name: 'vault'
  params: {
    name: take('${name}-${suffix}', 24)
    location: location
    principalId: identity.outputs.principalId
    administrators: vaultAdministrators
    subnetId: network.outputs.endpointSubnetId
    zoneId: network.outputs.vaultZoneId

    // TLS is required, and the server proves that it is the one meant.
    postgresConnection: 'Host=${postgres.outputs.host};Database=${postgres.outputs.database};Username=${postgres.outputs.user};Password=${postgresPassword};SslMode=VerifyFull'
  }
}

module functions 'modules/functions.bicep' = {
  name: 'functions'
  params: {
    name: '${name}-${suffix}'
    location: location
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    storageAccount: storage.outputs.name
    deploymentContainer: storage.outputs.deploymentContainer
    filesAccount: storage.outputs.filesName
    share: storage.outputs.share
    subnetId: network.outputs.functionsSubnetId
    postgresSecretUri: vault.outputs.postgresSecretUri
    maximumInstanceCount: maximumInstanceCount
    instanceMemoryMB: instanceMemoryMB
  }
}

output functionApp string = functions.outputs.name
output address string = functions.outputs.address
