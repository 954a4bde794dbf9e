// Two accounts. The first holds the host's own things and the queue of hints; it knows no keys at all, only identities. The second holds the share for
// before-images: a share is mounted by its account's key, there is no other way yet, and that key must open nothing else.
param name string
param filesName string
param location string
param principalId string
param subnetId string

@description('In the order blob, queue, table, file.')
param zoneIds array

param shareQuotaGB int

var services = ['blob', 'queue', 'table']

// The queue that functions put hints into and are triggered by: queueName of every function.json.
var queueName = 'platform-messages'

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: name
  location: location
  kind: 'StorageV2'
  sku: { name: 'Standard_ZRS' }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: 'Disabled'
    networkAcls: { defaultAction: 'Deny', bypass: 'None' }
  }

  resource blobs 'blobServices' = {
    name: 'default'

    resource deployment 'containers' = {
      name: 'deployment'
    }
  }

  resource queues 'queueServices' = {
    name: 'default'

    resource messages 'queues' = {
      name: queueName
    }

    // Where the host puts a hint that failed maxDequeueCount times. A hint in here is no loss: the timer names its message again.
    resource poison 'queues' = {
      name: '${queueName}-poison'
    }
  }
}

resource files 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: filesName
  location: location
  kind: 'StorageV2'
  sku: { name: 'Standard_ZRS' }
  properties: {
    allowSharedKeyAccess: true
    allowBlobPublicAccess: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: 'Disabled'
    networkAcls: { defaultAction: 'Deny', bypass: 'None' }
  }

  resource shares 'fileServices' = {
    name: 'default'

    // Before-images are what an undo stands on: a share that somebody deletes can be had back.
    properties: { shareDeleteRetentionPolicy: { enabled: true, days: 30 } }

    resource data 'shares' = {
      name: 'platform-data'
      properties: { shareQuota: shareQuotaGB, enabledProtocols: 'SMB' }
    }
  }
}

// What the host needs of its account: blobs (leases of the timer, the package, the functions' keys), queues (triggers and outputs), tables (its diagnostics).
var roles = {
  blobOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  queueContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  tableContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
}

resource grants 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in items(roles): {
    scope: account
    name: guid(account.id, principalId, role.value)
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.value)
    }
  }
]

resource endpoints 'Microsoft.Network/privateEndpoints@2024-05-01' = [
  for service in services: {
    name: '${name}-${service}'
    location: location
    properties: {
      subnet: { id: subnetId }
      privateLinkServiceConnections: [
        { name: service, properties: { privateLinkServiceId: account.id, groupIds: [service] } }
      ]
    }
  }
]

resource endpointZones 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [
  for (service, i) in services: {
    parent: endpoints[i]
    name: 'default'
    properties: { privateDnsZoneConfigs: [{ name: service, properties: { privateDnsZoneId: zoneIds[i] } }] }
  }
]

resource fileEndpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = {
  name: '${filesName}-file'
  location: location
  properties: {
    subnet: { id: subnetId }
    privateLinkServiceConnections: [
      { name: 'file', properties: { privateLinkServiceId: files.id, groupIds: ['file'] } }
    ]
  }
}

resource fileEndpointZone 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = {
  parent: fileEndpoint
  name: 'default'
  properties: { privateDnsZoneConfigs: [{ name: 'file', properties: { privateDnsZoneId: zoneIds[3] } }] }
}

output name string = account.name
output deploymentContainer string = '${account.properties.primaryEndpoints.blob}${account::blobs::deployment.name}'
output filesName string = files.name
output share string = files::shares::data.name
