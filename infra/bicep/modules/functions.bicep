// The function app: Flex Consumption, the runtime 'custom', the package of `dotnet publish src/CloudFunctions` as its code.
param name string
param location string
param identityId string
param identityClientId string
param storageAccount string
param deploymentContainer string
param filesAccount string
param share string
param subnetId string
param postgresSecretUri string
param maximumInstanceCount int
param instanceMemoryMB int

// Where the share is mounted in every instance, and where the program looks for it.
var dataFolder = '/mounts/platform'

resource files 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: filesAccount
}

resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: name
  location: location
  properties: { sku: { name: 'PerGB2018' }, retentionInDays: 30 }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: name
  location: location
  kind: 'web'
  properties: { Application_Type: 'web', WorkspaceResourceId: logs.id }
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: name
  location: location
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: subnetId
    keyVaultReferenceIdentity: identityId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: deploymentContainer
          authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identityId }
        }
      }
      runtime: { name: 'custom', version: '1.0' }
      scaleAndConcurrency: { maximumInstanceCount: maximumInstanceCount, instanceMemoryMB: instanceMemoryMB }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      ftpsState: 'Disabled'
      appSettings: [
        // The host's own storage, by identity: no key.
        { name: 'AzureWebJobsStorage__accountName', value: storageAccount }
        { name: 'AzureWebJobsStorage__credential', value: 'managedidentity' }
        { name: 'AzureWebJobsStorage__clientId', value: identityClientId }
        { name: 'APPLICATIONINSIGHTS_CONNECTION_STRING', value: insights.properties.ConnectionString }

        // What the program reads: src/CloudFunctions/Settings.cs. functionTimeout stands in host.json.
        { name: 'PLATFORM_POSTGRES', value: '@Microsoft.KeyVault(SecretUri=${postgresSecretUri})' }
        { name: 'PLATFORM_DATA', value: dataFolder }
        { name: 'PLATFORM_ANCHOR', value: '${dataFolder}/audit-anchor.txt' }
      ]
    }
  }

  // The one key of this deployment: Functions mounts a share by the key of its account and in no other way. The account holds nothing but the share.
  resource mounts 'config' = {
    name: 'azurestorageaccounts'
    properties: {
      platform: {
        type: 'AzureFiles'
        accountName: filesAccount
        shareName: share
        mountPath: dataFolder
        accessKey: files.listKeys().keys[0].value
      }
    }
  }

  // Deployments come with an identity, never with a password.
  resource ftp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
  }

  resource scm 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }
}

output name string = app.name
output address string = 'https://${app.properties.defaultHostName}'
