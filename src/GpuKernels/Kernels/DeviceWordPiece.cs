using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Tokenisation;
using Platform.GpuKernels.Tokenisation.WordPiece;

namespace Platform.GpuKernels.Kernels;

/// <summary>
/// WordPiece with BERT's normaliser and pre-tokeniser on an accelerator. Text goes up in parts while the parts before are tokenised, and nothing is waited
/// for until the ids are asked for. Texts that are not valid UTF-8 or may have an added token are found on the device.
/// </summary>
internal sealed class DeviceWordPiece : DeviceTokeniser
{
    /// <summary>Of one launch by default, 14.7 MB: enough to fill a device several times, and a fraction of a batch.</summary>
    private const int DefaultLaunchTiles = 4096;

    private readonly OnDevice _device;
    private readonly WordPieceTable _table;
    private readonly TokenTree _added;
    private readonly AcceleratorStream _copies;

    // One is copied to while kernels read the other.
    private readonly Uploaded[] _uploaded = [new(), new()];
    private readonly uint _unknown;
    private readonly uint _maximalCharacters;
    private int _last;

    public DeviceWordPiece(Accelerator accelerator, WordPieceModel model, BertCharacters characters, TokenTree added)
        : base(accelerator)
    {
        _copies = accelerator.CreateStream();
        try
        {
            var tokens = new List<(byte[], int)>();
            for (var id = 0; tokens.Count < model.Count; id++)
            {
                if (model.TryGetToken(id, out var token)) { tokens.Add((token.ToArray(), id)); }
            }

            _added = added;
            _table = WordPieceTable.Make(tokens, model.Continuation);
            (_unknown, _maximalCharacters) = ((uint)model.Unknown, (uint)Math.Max(0, model.MaximalCharacters));
            var suspects = new uint[8];
            foreach (var first in added.FirstBytes) { suspects[first / 32] |= 1u << first % 32; }

            _device = new OnDevice(
                Up<ushort>(characters.Pages),
                Up<uint>(characters.Entries),
                Up<byte>(characters.Spelled),
                Up<uint>(_table.Wholes),
                Up<uint>(_table.Steps),
                Up<uint>(suspects));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Tiles of one launch, of which the text goes up together.</summary>
    public int LaunchTiles { get; set; } = DefaultLaunchTiles;

    public override void Lay(IReadOnlyList<ReadOnlyMemory<byte>> texts, TextBatch batch) => batch.Lay(texts, [], separator: null, prefixes: false);

    public override DeviceTokens Run(TextBatch batch) => Run(batch, isThere: false);

    /// <summary>The same; <paramref name="isThere"/> where the last call had the same batch, whose bytes are on the device already: then only kernels run.</summary>
    public DeviceTokens Run(TextBatch batch, bool isThere)
    {
        var (bytes, texts, tiles) = (batch.Bytes, batch.Texts, WordPieceKernels.Tiles(batch.Bytes));
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

            var (text, starts) = (uploaded.Text!, uploaded.Starts!);
            var firsts = rented.New(4L * tiles);
            var totals = rented.New(4L * (launches + 1));
            var before = rented.New(4L * texts);
            var slots = rented.New(4L * WordPieceKernels.Span * Math.Min(tiles, LaunchTiles));
            var counts = rented.New(4L * Math.Min(tiles, LaunchTiles));
            Stream.Fill(totals, 0, 0, 4);
            if (!isThere) { batch.UploadStarts(_copies, starts); }

            var there = 0;
            for (var launch = 0; launch < launches; launch++)
            {
                var first = launch * LaunchTiles;
                var own = Math.Min(LaunchTiles, tiles - first);
                if (!isThere)
                {
                    var needed = (int)Math.Min(bytes, ((long)(first + own) * WordPieceKernels.Tile) + WordPieceKernels.ReadBeyond);
                    batch.UploadBytes(_copies, text, there, needed);
                    there = needed;
                    using var copied = _copies.Record();
                    Stream.Wait(copied);
                }

                if (launch == 0) { Launch(WordPieceKernels.Module, "texts_of_tiles", TokenKernels.Groups(tiles), starts, texts, tiles, firsts); }

                Launch(
                    WordPieceKernels.Module, "tokenise_tiles", own, text, bytes, first, starts, texts, firsts, _device.Pages, _device.Entries, _device.Spelled,
                    _device.Wholes, (uint)((_table.Wholes.Length / 8) - 1), _device.Steps, _table.GoOn == WordPieceTable.NoNode ? 0 : _table.Steps[((int)_table.GoOn * 4) + 1], _table.GoOn, _maximalCharacters, _unknown,
                    _device.Suspects, slots, counts, before, flags);
                Launch(WordPieceKernels.Module, "place_tiles", own, slots, counts, bytes, first, tiles, starts, texts, firsts, before, totals, launch, ids, offsets, flags);
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

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _copies.Dispose();
            base.Dispose(disposing);
            foreach (var uploaded in _uploaded) { uploaded.Dispose(); }
        }
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
            if ((all[text] & WordPieceKernels.Leave) != 0 || ((all[text] & WordPieceKernels.Suspect) != 0 && _added.TryFind(batch[text], 0, 0, out _))) { left.Add(text); }
        }

        return (last[0], left);
    }

    private readonly record struct OnDevice(MemoryBuffer Pages, MemoryBuffer Entries, MemoryBuffer Spelled, MemoryBuffer Wholes, MemoryBuffer Steps, MemoryBuffer Suspects);

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
