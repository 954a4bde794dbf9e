using System.Globalization;
using Platform.Domain.Inference;
using Platform.EventStore;
using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Embedding.Lexical;
using Platform.Inference.Embedding;
using Platform.Messaging;

namespace Platform.Hosting;

/// <summary>How a node holds and runs models; what is null here, the environment says.</summary>
public sealed record TextEmbedderOptions
{
    /// <summary>What the weights of all models in memory may take together.</summary>
    public long? MaxBytes { get; init; }

    /// <summary>Precision of the weights, and the device.</summary>
    public EmbeddingModelOptions? Load { get; init; }
}

/// <summary>
/// The embedders of a node's tenants: each tenant's models, loaded when they are called and shared by all calls, as many at a time as memory is given to them; and
/// without any model the comparison of words. They run on the device that <c>platform doctor</c> names.
/// </summary>
public sealed class TextEmbedders : IAsyncDisposable
{
    /// <summary>Names the model that is used where nobody names one.</summary>
    public const string Variable = "PLATFORM_EMBEDDING_MODEL";

    /// <summary>Says how models' weights are held: f32 (also where it is not set), bf16 for half of the memory, int8 for a quarter of it, and up to twice the speed on processors with AVX-VNNI.</summary>
    public const string WeightsVariable = "PLATFORM_EMBEDDING_WEIGHTS";

    /// <summary>Says what the weights of all models in memory may take together, as 512MiB or 4GiB; where it is not set, half of the memory that the process may use.</summary>
    public const string MemoryVariable = "PLATFORM_EMBEDDING_MEMORY";

    private const long Mebibyte = 1024 * 1024;

    /// <summary>Digits of a size: as many MiB are more than any machine has, and do not overflow as GiB.</summary>
    private const int MaxDigits = 9;

    private readonly Store store;
    private readonly Bus bus;
    private readonly string dataFolder;
    private readonly TextEmbedderOptions options;
    private readonly Lazy<DeviceInfo> device = new(() => DeviceSurvey.Take().Chosen);
    private readonly LexicalTextEmbedder words = new();
    private readonly Lazy<LoadedModels<Key>> models;
    private readonly List<Task> reports = [];

    internal TextEmbedders(Store store, Bus bus, string dataFolder, TextEmbedderOptions options)
    {
        (this.store, this.bus, this.dataFolder, this.options) = (store, bus, dataFolder, options);
        models = new Lazy<LoadedModels<Key>>(() => new LoadedModels<Key>(options.MaxBytes ?? MaxBytesHere));
    }

    /// <summary>What the weights of all models in memory may take together, as this process' environment says.</summary>
    /// <exception cref="ProblemException"><see cref="MemoryVariable"/> is no size.</exception>
    public static long MaxBytesHere => MemoryOf(Environment.GetEnvironmentVariable(MemoryVariable));

    /// <summary>The models in memory, the one called last first.</summary>
    public IReadOnlyList<LoadedModel<Key>> Loaded => models.IsValueCreated ? models.Value.Loaded : [];

    /// <summary>Where a tenant's models lie. A folder for each, so that one's removal never touches another's; the prefix makes any tenant's name a plain folder name.</summary>
    public static ModelStore StoreOf(string dataFolder, TenantId tenant) => new(Path.Combine(dataFolder, "models", $"tenant-{tenant}"));

    /// <summary>A tenant's embedder. It stays usable until its model is removed or the node ends; its model may go from memory between calls, and comes again with the next.</summary>
    /// <param name="name">Of a model, or <c>lexical-v1</c> for the comparison of words; null: what <see cref="Variable"/> names, else the model that was imported first, else the comparison of words.</param>
    /// <exception cref="ProblemException">There is no such model, or it cannot be used any more.</exception>
    /// <exception cref="TextEmbedderBusyException">The node is ending.</exception>
    public async Task<ITextEmbedder> Of(TenantId tenant, string? name, CancellationToken cancellation)
    {
        var there = await Models(tenant, cancellation);
        var wanted = name ?? (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } named ? named : null);
        var chosen = wanted is null ? there.Values.MinBy(model => (model.ImportedAt, model.Name)) : there.GetValueOrDefault(wanted);
        if (models.IsValueCreated) { models.Value.Drop(key => key.Tenant == tenant && there.GetValueOrDefault(key.Name)?.ContentHash != key.ContentHash); }

        if (chosen is null && wanted is not (null or LexicalEmbedding.Name))
        {
            throw new ProblemException(new Problem("model.not-found", $"There is no model '{wanted}'{(name is null ? $", which {Variable} names" : "")}. `platform models list` lists them, `platform models import` takes one in.", 404));
        }

        if (chosen is null) { return words; }

        var key = new Key(tenant, chosen.Name, chosen.ContentHash);
        return new Shared(this, key, await Call(key, embedder => Task.FromResult(embedder.Info), cancellation));
    }

    public async ValueTask DisposeAsync()
    {
        if (models.IsValueCreated) { await models.Value.DisposeAsync(); }

        Task[] open;
        lock (reports) { open = [.. reports]; }
        await Task.WhenAll(open);
    }

    private async Task<IReadOnlyDictionary<string, ModelImported>> Models(TenantId tenant, CancellationToken cancellation) =>
        ((await store.Load(tenant, ModelLibraryId.Only.Value, Domain.Folds.ModelLibrary, cancellation)).State ?? new ModelLibrary()).Models;

    private async Task<T> Call<T>(Key key, Func<LocalTextEmbedder, Task<T>> call, CancellationToken cancellation)
    {
        var load = options.Load;
        try { return await models.Value.Call(key, Measure, Load, call, cancellation); }
        catch (ModelTooLargeException e)
        {
            throw new ProblemException(new Problem(
                "model.too-large",
                $"The weights of the model '{key.Name}' take {Mebibytes(e.Bytes)} MiB, and all models together may take {Mebibytes(e.MaxBytes)}. {MemoryVariable} allows more; {WeightsVariable}=bf16 halves them, int8 quarters them."));
        }
        catch (Exception e) when (e is UnusableModelException or IOException)
        {
            throw new ProblemException(new Problem("model.unusable", $"The model '{key.Name}' cannot be used: {e.Message} `platform models verify {key.Name}` says what is wrong; import it again."));
        }

        async Task<long> Measure(CancellationToken cancellation)
        {
            // Whoever got the embedder may have kept it for long.
            if ((await Models(key.Tenant, cancellation)).GetValueOrDefault(key.Name)?.ContentHash != key.ContentHash) { throw new ProblemException(new Problem("model.not-found", $"The model '{key.Name}' was removed.", 404)); }

            load ??= new EmbeddingModelOptions(WeightsOf(Environment.GetEnvironmentVariable(WeightsVariable)), Device: device.Value.Kind == DeviceKind.Cpu ? null : device.Value);
            return EmbeddingModel.BytesOf(FolderOf(key), load.Precision);
        }

        LocalTextEmbedder Load() => LocalTextEmbedder.Load(FolderOf(key), key.Name, key.ContentHash, load! with { SetAside = aside => Report(key, aside) });
    }

    private string FolderOf(Key key) => StoreOf(dataFolder, key.Tenant).FolderOf(key.ContentHash);

    private static WeightPrecision WeightsOf(string? value) => value switch
    {
        null or "" or "f32" => WeightPrecision.Float32,
        "bf16" => WeightPrecision.BFloat16,
        "int8" => WeightPrecision.Int8,
        _ => throw new ProblemException(new Problem("model.weights-unknown", $"{WeightsVariable} is '{value}'; weights are held as f32, bf16 or int8.")),
    };

    internal static long MemoryOf(string? value)
    {
        // Half: the rest is for PostgreSQL, runs, and what texts take on their way through a model. A container's limit counts.
        if (string.IsNullOrEmpty(value)) { return GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 2; }

        var unit = value.EndsWith("GiB", StringComparison.Ordinal) ? 1024 * Mebibyte : value.EndsWith("MiB", StringComparison.Ordinal) ? Mebibyte : 0;
        return unit != 0 && value.Length - 3 <= MaxDigits && int.TryParse(value.AsSpan(0, value.Length - 3), NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count > 0
            ? count * unit
            : throw new ProblemException(new Problem("model.memory-unknown", $"{MemoryVariable} is '{value}'; it is a size such as 512MiB or 4GiB."));
    }

    private static string Mebibytes(long bytes) => (bytes / (double)Mebibyte).ToString("0.#", CultureInfo.InvariantCulture);

    /// <summary>The batch that met the failure does not wait for the log.</summary>
    private void Report(Key key, GpuKernels.Devices.DeviceSetAside aside)
    {
        lock (reports) { reports.Add(Task.Run(Tell)); }

        async Task Tell()
        {
            var command = new SetDeviceAside(ModelLibraryId.Only, aside.Device.Id, aside.Device.Name, aside.Failure.ToString(), aside.Reason, key.Name);
            try { await bus.Invoke(command, new InvokeOptions(key.Tenant, null, "platform"), CancellationToken.None); }
            catch (Exception e) when (e is StoreUnavailableException or ProblemException or ObjectDisposedException) { /* The device is set aside all the same. */ }
        }
    }

    /// <summary>A model as a tenant calls it.</summary>
    public sealed record Key(TenantId Tenant, string Name, string ContentHash);

    /// <summary>A tenant's model, in memory when it is called.</summary>
    private sealed class Shared(TextEmbedders all, Key key, TextEmbedderInfo info) : ITextEmbedder
    {
        public TextEmbedderInfo Info => info;

        public Task<TextEmbeddings> Embed(IReadOnlyList<string> texts, TextPurpose purpose, CancellationToken cancellation) =>
            all.Call(key, embedder => embedder.Embed(texts, purpose, cancellation), cancellation);
    }
}
