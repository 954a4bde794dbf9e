using Platform.Domain.Inference;
using Platform.EventStore;
using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Embedding.Lexical;
using Platform.Inference.Embedding;
using Platform.Messaging;

namespace Platform.Hosting;

/// <summary>
/// The embedders of a node's tenants: each tenant's models, loaded when they are first asked for and shared from then on, and without any model the comparison of
/// words. They run on the device that <c>platform doctor</c> names.
/// </summary>
public sealed class TextEmbedders : IAsyncDisposable
{
    /// <summary>Names the model that is used where nobody names one.</summary>
    public const string Variable = "PLATFORM_EMBEDDING_MODEL";

    /// <summary>Says how models' weights are held: f32 (also where it is not set), bf16 for half of the memory, int8 for a quarter of it, and up to twice the speed on processors with AVX-VNNI.</summary>
    public const string WeightsVariable = "PLATFORM_EMBEDDING_WEIGHTS";

    private readonly Store store;
    private readonly Bus bus;
    private readonly string dataFolder;
    private readonly Lazy<DeviceInfo> device = new(() => DeviceSurvey.Take().Chosen);
    private readonly LexicalTextEmbedder words = new();
    private readonly Dictionary<(TenantId Tenant, string Name, string ContentHash), LocalTextEmbedder> loaded = [];
    private readonly List<Task> reports = [];
    private readonly SemaphoreSlim turn = new(1, 1);

    internal TextEmbedders(Store store, Bus bus, string dataFolder)
    {
        (this.store, this.bus, this.dataFolder) = (store, bus, dataFolder);
    }

    /// <summary>Where a tenant's models lie. A folder for each, so that one's removal never touches another's; the prefix makes any tenant's name a plain folder name.</summary>
    public static ModelStore StoreOf(string dataFolder, TenantId tenant) => new(Path.Combine(dataFolder, "models", $"tenant-{tenant}"));

    /// <summary>A tenant's embedder. It stays usable until its model is removed or the node ends.</summary>
    /// <param name="name">Of a model, or <c>lexical-v1</c> for the comparison of words; null: what <see cref="Variable"/> names, else the model that was imported first, else the comparison of words.</param>
    /// <exception cref="ProblemException">There is no such model, or it cannot be used any more.</exception>
    public async Task<ITextEmbedder> Of(TenantId tenant, string? name, CancellationToken cancellation)
    {
        var models = (await store.Load(tenant, ModelLibraryId.Only.Value, Domain.Folds.ModelLibrary, cancellation)).State?.Models ?? new ModelLibrary().Models;
        var wanted = name ?? (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } named ? named : null);
        var chosen = wanted is null ? models.Values.MinBy(model => (model.ImportedAt, model.Name)) : models.GetValueOrDefault(wanted);
        if (chosen is null && wanted is not (null or LexicalEmbedding.Name))
        {
            throw new ProblemException(new Problem("model.not-found", $"There is no model '{wanted}'{(name is null ? $", which {Variable} names" : "")}. `platform models list` lists them, `platform models import` takes one in.", 404));
        }

        await turn.WaitAsync(cancellation);
        try
        {
            foreach (var (key, gone) in loaded.Where(one => one.Key.Tenant == tenant && models.GetValueOrDefault(one.Key.Name)?.ContentHash != one.Key.ContentHash).ToList())
            {
                loaded.Remove(key);
                await gone.DisposeAsync();
            }

            if (chosen is null) { return words; }

            if (!loaded.TryGetValue((tenant, chosen.Name, chosen.ContentHash), out var embedder))
            {
                loaded.Add((tenant, chosen.Name, chosen.ContentHash), embedder = await Task.Run(() => Load(tenant, chosen), cancellation));
            }

            return embedder;
        }
        finally { turn.Release(); }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var embedder in loaded.Values) { await embedder.DisposeAsync(); }
        loaded.Clear();
        Task[] open;
        lock (reports) { open = [.. reports]; }
        await Task.WhenAll(open);
        turn.Dispose();
    }

    private LocalTextEmbedder Load(TenantId tenant, ModelImported model)
    {
        try
        {
            var weights = Environment.GetEnvironmentVariable(WeightsVariable) switch
            {
                null or "" or "f32" => WeightPrecision.Float32,
                "bf16" => WeightPrecision.BFloat16,
                "int8" => WeightPrecision.Int8,
                var other => throw new ProblemException(new Problem("model.weights-unknown", $"{WeightsVariable} is '{other}'; weights are held as f32, bf16 or int8.")),
            };
            return LocalTextEmbedder.Load(
                StoreOf(dataFolder, tenant).FolderOf(model.ContentHash),
                model.Name,
                model.ContentHash,
                new EmbeddingModelOptions(weights, Device: device.Value.Kind == DeviceKind.Cpu ? null : device.Value, SetAside: aside => Report(tenant, model.Name, aside)));
        }
        catch (Exception e) when (e is UnusableModelException or IOException)
        {
            throw new ProblemException(new Problem("model.unusable", $"The model '{model.Name}' cannot be used: {e.Message} `platform models verify {model.Name}` says what is wrong; import it again."));
        }
    }

    /// <summary>The batch that met the failure does not wait for the log.</summary>
    private void Report(TenantId tenant, string model, GpuKernels.Devices.DeviceSetAside aside)
    {
        lock (reports) { reports.Add(Task.Run(Tell)); }

        async Task Tell()
        {
            var command = new SetDeviceAside(ModelLibraryId.Only, aside.Device.Id, aside.Device.Name, aside.Failure.ToString(), aside.Reason, model);
            try { await bus.Invoke(command, new InvokeOptions(tenant, null, "platform"), CancellationToken.None); }
            catch (Exception e) when (e is StoreUnavailableException or ProblemException or ObjectDisposedException) { /* The device is set aside all the same. */ }
        }
    }
}
