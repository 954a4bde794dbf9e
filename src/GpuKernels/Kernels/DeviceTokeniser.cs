using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Tokenisation;
using Platform.GpuKernels.Tokenisation.Bpe;
using Platform.GpuKernels.Tokenisation.PreTokenisers;
using Platform.GpuKernels.Tokenisation.WordPiece;

namespace Platform.GpuKernels.Kernels;

/// <summary>
/// A tokeniser on an accelerator: UTF-8 in, the ids that <see cref="Tokeniser"/> gives out, before truncation and special tokens. A group of work items takes
/// a tile of the text; text goes up in parts while the parts before are tokenised, and nothing is waited for until the ids are asked for. It leaves texts to
/// the CPU that are not valid UTF-8 or have an added token, both of which are found on the device, or that have something that only the CPU does. One thread at a time.
/// </summary>
internal abstract class DeviceTokeniser : IDisposable
{
    /// <summary>Bytes of one batch, one for each text included, so that every place fits 31 bits whatever is made of it.</summary>
    public const int BatchBytes = 64 * 1024 * 1024;

    /// <summary>Of one launch by default, some 15 MB: enough to fill a device several times, and a fraction of a batch.</summary>
    private const int DefaultLaunchTiles = 4096;

    private readonly List<MemoryBuffer> _owned = [];
    private readonly TokenTree _added;
    private readonly AcceleratorStream _copies;

    // One is copied to while kernels read the other.
    private readonly Uploaded[] _uploaded = [new(), new()];
    private TextBatch? _laid;
    private int _last;

    /// <param name="accelerator">On which it runs.</param>
    /// <param name="added">The added tokens, whose first bytes make a text suspect.</param>
    protected DeviceTokeniser(Accelerator accelerator, TokenTree added)
    {
        _added = added;
        (Stream, Downloads, _copies) = (accelerator.CreateStream(), accelerator.CreateStream(), accelerator.CreateStream());
        var suspects = new uint[8];
        foreach (var first in added.FirstBytes) { suspects[first / 32] |= 1u << first % 32; }

        Suspects = Up<uint>(suspects);
    }

    /// <summary>The stream on which kernels run.</summary>
    public AcceleratorStream Stream { get; }

    /// <summary>Tiles of one launch, of which the text goes up together.</summary>
    public int LaunchTiles { get; set; } = DefaultLaunchTiles;

    /// <summary>The stream by which ids come to the host.</summary>
    protected AcceleratorStream Downloads { get; }

    /// <summary>A bit for each byte that an added token begins with.</summary>
    protected MemoryBuffer Suspects { get; }

    protected abstract TileShape Shape { get; }

    /// <summary>The tokeniser of a file on a device; null where its stages are not built there.</summary>
    public static DeviceTokeniser? TryMake(Accelerator accelerator, Tokeniser tokeniser)
    {
        var pipeline = tokeniser.Pipeline;
        if (!pipeline.Added.Normalised.IsEmpty) { return null; }

        return pipeline.Model switch
        {
            WordPieceModel model when pipeline.PreTokenisers is [BertPreTokeniser] && BertCharacters.Of(pipeline.Normalisers) is { } characters =>
                new DeviceWordPiece(accelerator, model, characters, pipeline.Added.Raw),
            BpeModel { Bytes: { } bytes } when pipeline.Normalisers.Count == 0 && FusedBytePairTokeniser.Recognise(pipeline.PreTokenisers) is (not SplitPattern.DeepSeekV3 and var pattern, var addPrefixSpace) =>
                new DeviceBytePair(accelerator, bytes, pattern, pipeline.Added.Raw, addPrefixSpace),
            _ => null,
        };
    }

    /// <summary>The ids of all texts one behind the other, on the device, waited for.</summary>
    /// <param name="texts">With one byte for each at most <see cref="BatchBytes"/> together.</param>
    /// <exception cref="DeviceException">The device failed.</exception>
    public DeviceTokens Run(IReadOnlyList<ReadOnlyMemory<byte>> texts)
    {
        var bytes = texts.Sum(text => text.Length + 1L);
        if (bytes > BatchBytes) { throw new ArgumentException($"The texts have {bytes} bytes, one for each included; at most {BatchBytes} are one batch.", nameof(texts)); }

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

    /// <summary>Lays texts into a batch that has room for them and for a byte more each.</summary>
    public abstract void Lay(IReadOnlyList<ReadOnlyMemory<byte>> texts, TextBatch batch);

    /// <summary>Starts to tokenise the texts of a batch, which stays as it is until the tokens' count has been asked for.</summary>
    /// <param name="batch">The texts.</param>
    /// <param name="isThere">Where the last call had the same batch, whose bytes are on the device already: then only kernels run.</param>
    /// <exception cref="DeviceException">The device failed.</exception>
    public DeviceTokens Run(TextBatch batch, bool isThere = false)
    {
        var (bytes, texts, tiles) = (batch.Bytes, batch.Texts, (batch.Bytes + Shape.Tile - 1) / Shape.Tile);
        var launches = (tiles + LaunchTiles - 1) / LaunchTiles;
        using var rented = new Rented(Stream);
        var flags = rented.New(4L * (texts + 2));
        var offsets = rented.New(4L * (texts + 1));

        // A text has no more tokens than bytes.
        var ids = rented.New(4L * bytes);
        Stream.Fill(flags, 0, 0, flags.Bytes);
        if (tiles == 0) { Stream.Fill(offsets, 0, 0, offsets.Bytes); }
        else
        {
            if (!isThere) { _last = (_last + 1) % _uploaded.Length; }

            var uploaded = _uploaded[_last];
            uploaded.Hold(Stream.Accelerator, bytes, texts);
            if (!isThere && uploaded.Passed is { } passed) { _copies.Wait(passed); }

            var work = new TileWork(
                uploaded.Text!, bytes, uploaded.Starts!, texts, rented.New(4L * tiles), rented.New(4L * Shape.Span * Math.Min(tiles, LaunchTiles)),
                rented.New(4L * Math.Min(tiles, LaunchTiles)), rented.New(4L * texts), flags);
            var totals = rented.New(4L * (launches + 1));
            Stream.Fill(totals, 0, 0, 4);
            if (!isThere) { batch.UploadStarts(_copies, work.Starts); }

            var there = 0;
            for (var launch = 0; launch < launches; launch++)
            {
                var first = launch * LaunchTiles;
                var own = Math.Min(LaunchTiles, tiles - first);
                if (!isThere)
                {
                    var needed = (int)Math.Min(bytes, ((long)(first + own) * Shape.Tile) + Shape.ReadBeyond);
                    batch.UploadBytes(_copies, work.Text, there, needed);
                    there = needed;
                    using var copied = _copies.Record();
                    Stream.Wait(copied);
                }

                if (launch == 0) { Launch(TokenKernels.Module, "texts_of_tiles", TokenKernels.Groups(tiles), work.Starts, texts, tiles, Shape.Tile, Shape.History, work.Firsts); }

                Tokenise(work, first, own);
                Launch(
                    TokenKernels.Module, "place_tiles", own, work.Slots, work.Counts, bytes, first, tiles, Shape.Tile, Shape.Span, work.Starts, texts, work.Firsts, work.Before,
                    totals, launch, ids, offsets, flags);
            }

            uploaded.Passed?.Dispose();
            uploaded.Passed = Stream.Record();
        }

        rented.Keep(flags);
        return new DeviceTokens(Stream, Downloads, Stream.Record(), rented.Keep(ids), rented.Keep(offsets), texts, () =>
        {
            try { return Complete(batch, texts, flags); }
            finally { Stream.Return(flags); }
        });
    }

    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Launches the kernel that tokenises tiles.</summary>
    protected abstract void Tokenise(in TileWork work, int firstTile, int tiles);

    protected virtual void Dispose(bool disposing)
    {
        if (!disposing) { return; }

        // What is under way may read the batch.
        try { Stream.Synchronize(); }
        catch (DeviceException e) when (e.Failure == DeviceFailure.Lost) { /* A lost device reads nothing any more. */ }

        _copies.Dispose();
        _laid?.Dispose();
        foreach (var table in _owned) { table.Dispose(); }
        Downloads.Dispose();
        Stream.Dispose();
        foreach (var uploaded in _uploaded) { uploaded.Dispose(); }
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

    private (int Count, IReadOnlySet<int> Left) Complete(TextBatch batch, int texts, MemoryBuffer flags)
    {
        var last = new int[2];
        Downloads.Download(flags, last.AsSpan(), 4L * texts);
        var left = new SortedSet<int>();
        if (last[1] == 0) { return (last[0], left); }

        var all = new uint[texts];
        Downloads.Download(flags, all.AsSpan());
        for (var text = 0; text < texts; text++)
        {
            if ((all[text] & TokenKernels.Leave) != 0 || ((all[text] & TokenKernels.Suspect) != 0 && _added.TryFind(batch[text], 0, 0, out _))) { left.Add(text); }
        }

        return (last[0], left);
    }

    /// <summary>What a group of work items takes.</summary>
    /// <param name="Tile">Bytes of which a group's words or pieces begin.</param>
    /// <param name="History">Bytes before a tile that say what goes on into it.</param>
    /// <param name="Span">Places of a tile's tokens: its bytes and those that its last word or piece may take beyond.</param>
    protected readonly record struct TileShape(int Tile, int History, int Span)
    {
        /// <summary>Bytes beyond a tile that are read with it: to the end of the last character that begins in its window.</summary>
        public int ReadBeyond => Span - Tile + 16;
    }

    /// <summary>A batch on the device and what its tiles are tokenised to, as the kernels <c>tokenise_tiles</c> and <c>tokenise_pieces</c> have it.</summary>
    protected readonly record struct TileWork(
        MemoryBuffer Text, int Bytes, MemoryBuffer Starts, int Texts, MemoryBuffer Firsts, MemoryBuffer Slots, MemoryBuffer Counts, MemoryBuffer Before, MemoryBuffer Flags);

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

    /// <summary>Text on the device, and when kernels have read it.</summary>
    private sealed class Uploaded : IDisposable
    {
        public MemoryBuffer? Text { get; private set; }

        public MemoryBuffer? Starts { get; private set; }

        public DeviceEvent? Passed { get; set; }

        public void Hold(Accelerator accelerator, int bytes, int texts)
        {
            // Kernels read 16 bytes at a time.
            Text = Held(accelerator, Text, (bytes + 15L) / 16 * 16);
            Starts = Held(accelerator, Starts, 4L * texts);
        }

        public void Dispose()
        {
            Text?.Dispose();
            Starts?.Dispose();
            Passed?.Dispose();
        }

        private MemoryBuffer Held(Accelerator accelerator, MemoryBuffer? buffer, long bytes)
        {
            if (buffer is not null && buffer.Bytes >= bytes) { return buffer; }

            Passed?.Synchronize();
            buffer?.Dispose();
            return accelerator.Allocate(AcceleratorStream.SizeClass(bytes));
        }
    }
}
