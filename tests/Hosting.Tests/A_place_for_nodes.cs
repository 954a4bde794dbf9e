using Platform.Domain.Inference;
using Platform.GpuKernels.Tests.Embedding;
using Platform.Messaging;
using Platform.Testing;

namespace Platform.Hosting.Tests;

/// <summary>A data folder and a database on which nodes are opened, and models taken in as <c>platform models import</c> does it.</summary>
public sealed class A_place_for_nodes : IAsyncLifetime
{
    private TestDatabase? database;

    public string Folder { get; } = Directory.CreateTempSubdirectory("node-").FullName;

    public async ValueTask InitializeAsync() => database = await TestDatabase.Create(TestContext.Current.CancellationToken);

    public Task<Node> Open(TextEmbedderOptions? embedding = null) =>
        Node.Open(new NodeOptions(database!.ConnectionString, Folder) { Embedding = embedding ?? new TextEmbedderOptions() }, TestContext.Current.CancellationToken);

    internal async Task Import(Node node, TenantId tenant, string name, TemporaryModel model)
    {
        var stored = TextEmbedders.StoreOf(Folder, tenant).Import(model.Path, keep: true, TestContext.Current.CancellationToken);
        await node.Bus.Invoke(new ImportModel(ModelLibraryId.Only, name, stored.ContentHash, stored.Files, model.Path, "test"), new InvokeOptions(tenant, null, "test"), TestContext.Current.CancellationToken);
    }

    internal static Task Remove(Node node, TenantId tenant, string name) =>
        node.Bus.Invoke(new RemoveModel(ModelLibraryId.Only, name, "test"), new InvokeOptions(tenant, null, "test"), TestContext.Current.CancellationToken);

    public async ValueTask DisposeAsync()
    {
        if (database is not null) { await database.DisposeAsync(); }

        Directory.Delete(Folder, recursive: true);
    }
}
