using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Tokenisation;
using Platform.GpuKernels.Tokenisation.Bpe;
using Platform.GpuKernels.Tokenisation.PreTokenisers;
using Platform.GpuKernels.Tokenisation.WordPiece;

namespace Platform.GpuKernels.Kernels;

/// <summary>
/// A tokeniser on an accelerator: UTF-8 in, the ids that <see cref="Tokeniser"/> gives out, before truncation and special tokens. It leaves texts to the
/// CPU that are not valid UTF-8, that have an added token, or something that only the CPU does. One thread at a time.
/// </summary>
internal abstract class DeviceTokeniser(Accelerator accelerator) : IDisposable
{
    /// <summary>Bytes of one batch, two for each text included, so that every place fits 31 bits whatever is made of it.</summary>
    public const int BatchBytes = 64 * 1024 * 1024;

    private readonly List<MemoryBuffer> _owned = [];
    private TextBatch? _laid;

    /// <summary>The stream on which kernels run.</summary>
    public AcceleratorStream Stream { get; } = accelerator.CreateStream();

    /// <summary>The stream by which ids come to the host.</summary>
    protected AcceleratorStream Downloads { get; } = accelerator.CreateStream();

    /// <summary>The tokeniser of a file on a device; null where its stages are not built there.</summary>
    public static DeviceTokeniser? TryMake(Accelerator accelerator, Tokeniser tokeniser)
    {
        var pipeline = tokeniser.Pipeline;
        if (!pipeline.Added.Normalised.IsEmpty) { return null; }

        return pipeline.Model switch
        {
            WordPieceModel model when pipeline.PreTokenisers is [BertPreTokeniser] && BertCharacters.Of(pipeline.Normalisers) is { } characters =>
                new DeviceWordPiece(accelerator, model, characters, pipeline.Added.Raw),
            BpeModel { Bytes: { } bytes } when pipeline.Normalisers.Count == 0 && FusedBytePairTokeniser.Recognise(pipeline.PreTokenisers) is var (pattern, addPrefixSpace) =>
                new DeviceBytePair(accelerator, bytes, pattern, pipeline.Added.Raw, addPrefixSpace),
            _ => null,
        };
    }

    /// <summary>The ids of all texts one behind the other, on the device, waited for.</summary>
    /// <param name="texts">With two bytes for each at most <see cref="BatchBytes"/> together.</param>
    /// <exception cref="DeviceException">The device failed.</exception>
    public DeviceTokens Run(IReadOnlyList<ReadOnlyMemory<byte>> texts)
    {
        var bytes = texts.Sum(text => text.Length + 2L);
        if (bytes > BatchBytes) { throw new ArgumentException($"The texts have {bytes} bytes, two for each included; at most {BatchBytes} are one batch.", nameof(texts)); }

        if (_laid is null || _laid.Memory.Length < bytes || _laid.Starts.Length < texts.Count)
        {
            // Room for half as many more, so that batches of about a size do not each make it anew.
            _laid?.Dispose();
            _laid = null;
            _laid = new TextBatch(Stream, (int)Math.Min(BatchBytes, bytes + (bytes / 2)), Math.Min(BatchBytes, texts.Count + (texts.Count / 2)));
        }

        Lay(texts, _laid);
        var tokens = Run(_laid);
        try
        {
            // The memory is the next call's.
            _ = tokens.Count;
            return tokens;
        }
        catch
        {
            tokens.Dispose();
            throw;
        }
    }

    /// <summary>Lays texts into a batch that has room for them and for two bytes more each.</summary>
    public abstract void Lay(IReadOnlyList<ReadOnlyMemory<byte>> texts, TextBatch batch);

    /// <summary>Starts to tokenise the texts of a batch, which stays as it is until the tokens' count has been asked for.</summary>
    /// <exception cref="DeviceException">The device failed.</exception>
    public abstract DeviceTokens Run(TextBatch batch);

    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    protected virtual void Dispose(bool disposing)
    {
        if (!disposing) { return; }

        // What is under way may read the batch.
        try { Stream.Synchronize(); }
        catch (DeviceException e) when (e.Failure == DeviceFailure.Lost) { /* A lost device reads nothing any more. */ }

        _laid?.Dispose();
        foreach (var table in _owned) { table.Dispose(); }
        Downloads.Dispose();
        Stream.Dispose();
    }

    protected void Launch(KernelModule module, string kernel, int groups, params ReadOnlySpan<KernelArgument> arguments) =>
        Stream.Launch(Stream.Accelerator.Load(module, kernel), new LaunchGrid(groups, TokenKernels.Group), arguments);

    /// <summary>A table that stays on the device.</summary>
    protected MemoryBuffer Up<T>(ReadOnlySpan<T> values)
        where T : unmanaged
    {
        var buffer = Stream.Accelerator.Allocate(values, Stream);
        _owned.Add(buffer);
        return buffer;
    }

    /// <summary>Memory of one batch.</summary>
    protected sealed class Rented(AcceleratorStream stream) : IDisposable
    {
        private readonly List<MemoryBuffer> _buffers = [];

        public MemoryBuffer New(long bytes)
        {
            var buffer = stream.Rent(Math.Max(1, bytes));
            _buffers.Add(buffer);
            return buffer;
        }

        /// <summary>Leaves the buffer to the caller.</summary>
        public MemoryBuffer Keep(MemoryBuffer buffer)
        {
            _buffers.Remove(buffer);
            return buffer;
        }

        public void Dispose()
        {
            foreach (var buffer in _buffers) { stream.Return(buffer); }
        }
    }
}
