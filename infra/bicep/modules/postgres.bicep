// PostgreSQL without a public address. Everything that the platform has said yes to is here.
param name string
param location string
param sku string
param tier string
param storageGB int
param highAvailability string
param subnetId string
param zoneId string

@secure()
param password string

var user = 'platform'

resource server 'Microsoft.DBforPostgreSQL/flexibleServers@2024-08-01' = {
  name: name
  location: location
  sku: { name: sku, tier: tier }
  properties: {
    version: '17'
    administratorLogin: user
    administratorLoginPassword: password
    authConfig: { passwordAuth: 'Enabled', activeDirectoryAuth: 'Disabled' }
    storage: { storageSizeGB: storageGB, autoGrow: 'Enabled' }
    backup: { backupRetentionDays: 35, geoRedundantBackup: 'Disabled' }
    highAvailability: { mode: highAvailability }
    network: {
      delegatedSubnetResourceId: subnetId
      privateDnsZoneArmResourceId: zoneId
      publicNetworkAccess: 'Disabled'
    }
  }

  resource database 'databases' = {
    name: 'platform'
    properties: { charset: 'UTF8', collation: 'C' }
  }

  // No connection in the clear, not even within the network.
  resource tls 'configurations' = {
    name: 'require_secure_transport'
    properties: { value: 'on', source: 'user-override' }
  }

  // An instance that vanishes without a word keeps its messages until its connection is found dead: within about 20 s (docs/adr/0011).
  resource keepalive 'configurations' = {
    name: 'tcp_keepalives_idle'
    properties: { value: '10', source: 'user-override' }
    dependsOn: [tls]
  }

  resource keepaliveInterval 'configurations' = {
    name: 'tcp_keepalives_interval'
    properties: { value: '5', source: 'user-override' }
    dependsOn: [keepalive]
  }

  resource keepaliveCount 'configurations' = {
    name: 'tcp_keepalives_count'
    properties: { value: '2', source: 'user-override' }
    dependsOn: [keepaliveInterval]
  }
}

output host string = server.properties.fullyQualifiedDomainName
output database string = server::database.name
output user string = user
