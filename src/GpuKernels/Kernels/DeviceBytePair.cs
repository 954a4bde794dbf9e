using System.Text.Unicode;
using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Tokenisation;
using Platform.GpuKernels.Tokenisation.Bpe;

namespace Platform.GpuKernels.Kernels;

/// <summary>
/// Byte-level BPE on an accelerator. Pieces are cut there too: most words' ends are certain whatever stands before, and from one such place to the next a
/// work item goes by the pattern. A piece that is one token is looked up, others of at most <see cref="MergedBytes"/> are merged by eight work items each,
/// and longer ones, which are rare, come to the CPU and go back.
/// </summary>
internal sealed class DeviceBytePair : DeviceTokeniser
{
    /// <summary>The longest piece that is merged on the device: what eight work items keep at hand.</summary>
    public const int MergedBytes = 64;

    /// <summary>The longest stretch without a certain place that one work item goes through; lengths of pieces have 16 bits.</summary>
    public const int StretchBytes = 8192;

    /// <summary>Behind each text, so that nothing joins two: no text that is valid UTF-8 has it.</summary>
    private const byte Separator = 0xFF;

    private readonly TokenTree _added;
    private readonly bool _addPrefixSpace;
    private readonly BytePairEncoder _cpu;
    private readonly SplitPattern _pattern;
    private readonly PieceTable _pieces;
    private readonly MergeTable _merges;
    private readonly OnDevice _device;
    private readonly TokenSink _sink = new();

    public DeviceBytePair(Accelerator accelerator, BytePairVocabulary vocabulary, SplitPattern pattern, TokenTree added, bool addPrefixSpace)
        : base(accelerator, added)
    {
        (_added, _addPrefixSpace) = (added, addPrefixSpace);
        try
        {
            (_cpu, _pattern, _merges) = (new BytePairEncoder(vocabulary), pattern, vocabulary.Merges);
            _pieces = vocabulary.WholePieces ?? Whole(vocabulary);
            _device = new OnDevice(
                Up(UnicodeClasses.ClassPages),
                Up(UnicodeClasses.Classes),
                Up(_pieces.Slots),
                Up(_pieces.Starts),
                Up(_pieces.Bytes),
                Up<int>(vocabulary.ByteIds),
                Up(_merges.Slots),
                Up(_merges.Merged));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    protected override TileShape Shape => default;

    protected override void Tokenise(in TileWork work, int firstTile, int tiles) => throw new NotSupportedException();

    public override void Lay(IReadOnlyList<ReadOnlyMemory<byte>> texts, TextBatch batch)
    {
        // What is left to the CPU is an empty text here.
        var lefts = new bool[texts.Count];
        TextBatch.InRanges(texts.Count, texts.Sum(text => (long)text.Length), (from, end) =>
        {
            for (var i = from; i < end; i++)
            {
                var text = texts[i].Span;
                lefts[i] = !Utf8.IsValid(text) || (_added.MayMatch(text) && _added.TryFind(text, 0, 0, out _));
            }
        });
        batch.Lay(texts, lefts, Separator, _addPrefixSpace);
    }

    /// <summary>As the base has it, of a batch that <see cref="Lay"/> laid.</summary>
    public override DeviceTokens Run(TextBatch batch, bool isThere = false)
    {
        if (batch.Separator != Separator && batch.Texts > 0) { throw new ArgumentException("The batch was not laid by this tokeniser.", nameof(batch)); }

        var left = new SortedSet<int>(batch.Left);
        using var rented = new Rented(Stream);
        var offsets = rented.New(4L * (batch.Texts + 1));
        if (batch.Texts == 0)
        {
            Stream.Fill(offsets, 0, 0, offsets.Bytes);
            return new DeviceTokens(Stream, Downloads, Stream.Record(), Stream.Rent(4), rented.Keep(offsets), 0, () => (0, left));
        }

        var (bytes, starts) = (rented.New(batch.Bytes), rented.New(4L * batch.Texts));
        batch.UploadBytes(Stream, bytes, 0, batch.Bytes);
        batch.UploadStarts(Stream, starts);
        var leftOnDevice = rented.New(4 * (1 + TokenKernels.Left));
        Stream.Fill(leftOnDevice, 0, 0, leftOnDevice.Bytes);
        var (found, counts) = Match(batch, bytes, leftOnDevice, rented);
        var groups = TokenKernels.Groups(batch.Bytes);
        var totals = rented.New(4L * (groups + 1));
        var before = rented.New(4L * batch.Bytes);

        // A piece has no more tokens than bytes.
        var ids = rented.New(4L * batch.Bytes);
        Launch(TokenKernels.Module, "count_tokens", groups, counts, batch.Bytes, totals);
        Launch(TokenKernels.Module, "scan_totals", 1, totals, groups);
        Launch(TokenKernels.Module, "scatter", groups, counts, batch.Bytes, totals, found, ids, before);
        Launch(TokenKernels.Module, "text_offsets", TokenKernels.Groups(batch.Texts + 1), starts, batch.Texts, batch.Bytes, before, totals, groups, offsets);
        var count = new int[1];
        Stream.Download(totals, count.AsSpan(), 4L * groups);
        ReadLeft(leftOnDevice, batch, left);
        return new DeviceTokens(Stream, Downloads, Stream.Record(), rented.Keep(ids), rented.Keep(offsets), batch.Texts, () => (count[0], left));
    }

    /// <summary>At a piece's first byte and behind it its tokens, and how many they are.</summary>
    private (MemoryBuffer Found, MemoryBuffer Counts) Match(TextBatch batch, MemoryBuffer bytes, MemoryBuffer left, Rented rented)
    {
        var count = batch.Bytes;
        var groups = TokenKernels.Groups(count);
        var lengths = rented.New(2L * count);
        var found = rented.New(4L * count);
        var counts = rented.New(4L * count);
        var numbers = rented.New(8);

        // A miss has two bytes or more, since every byte is a token.
        var misses = rented.New(4L * ((count / 2) + 1));
        var longs = rented.New(8L * ((count / MergedBytes) + 1));
        Stream.Fill(lengths, 0, 0, 2L * count);
        Stream.Fill(numbers, 0, 0, 8);
        Launch(BytePairKernels.Module, "split", groups, bytes, (uint)count, _device.Pages, _device.Classes, (uint)_pattern, (uint)StretchBytes, lengths, left);
        Launch(
            BytePairKernels.Module, "look_up", groups, bytes, (uint)count, lengths, _device.Slots, (uint)(_pieces.Slots.Length - 1), _device.Starts, _device.Bytes,
            (long)_pieces.Multiplier, (uint)MergedBytes, found, counts, numbers, misses, longs);
        var many = new int[2];
        Stream.Download(numbers, many.AsSpan());
        if (many[0] > 0)
        {
            var grid = LaunchGrid.Cover((long)many[0] * BytePairKernels.Lanes, BytePairKernels.MergeGroup);
            Stream.Launch(
                Stream.Accelerator.Load(BytePairKernels.Module, "merge_pieces"), grid, bytes, lengths, misses, (uint)many[0], _device.ByteIds,
                _device.Merges, (uint)(_merges.Slots.Length - 1), _merges.Shift, (long)_merges.Multiplier, _device.Merged, found, counts);
        }

        if (many[1] > 0) { MergeOnCpu(batch.Memory, longs, many[1], found, counts, rented); }

        return (found, counts);
    }

    private void MergeOnCpu(ReadOnlySpan<byte> bytes, MemoryBuffer longs, int pieces, MemoryBuffer found, MemoryBuffer counts, Rented rented)
    {
        var places = new int[pieces * 2];
        Stream.Download(longs, places.AsSpan());
        var firsts = new int[pieces + 1];
        _sink.Clear(wantsOffsets: false);
        for (var i = 0; i < pieces; i++)
        {
            _cpu.Tokenise(bytes.Slice(places[i * 2], places[(i * 2) + 1]), _sink);
            firsts[i + 1] = _sink.Count;
        }

        var tokens = rented.New(4L * _sink.Count);
        var starts = rented.New(4L * firsts.Length);
        Stream.Upload(_sink.Ids, tokens);
        Stream.Upload<int>(firsts, starts);
        Launch(BytePairKernels.Module, "place", TokenKernels.Groups(pieces), longs, (uint)pieces, starts, tokens, found, counts);
    }

    private void ReadLeft(MemoryBuffer onDevice, TextBatch batch, SortedSet<int> left)
    {
        var places = new int[1 + TokenKernels.Left];
        Stream.Download(onDevice, places.AsSpan());
        if ((uint)places[0] > TokenKernels.Left)
        {
            left.UnionWith(Enumerable.Range(0, batch.Texts));
            return;
        }

        foreach (var place in places.AsSpan(1, places[0]))
        {
            var text = batch.Starts[..batch.Texts].BinarySearch(place);
            left.Add(text >= 0 ? text : ~text - 1);
        }
    }

    /// <summary>The pieces that end as one token when they are merged, of those that a file's merges spell.</summary>
    private static PieceTable Whole(BytePairVocabulary vocabulary)
    {
        var spelled = new Dictionary<int, byte[]>();
        for (var value = 0; value < vocabulary.ByteIds.Length; value++) { spelled[vocabulary.ByteIds[value]] = [(byte)value]; }

        // In the order of ranks a token's parts come before it, but in a file that never makes it.
        foreach (var (left, right, becomes) in vocabulary.Merges.InOrder())
        {
            if (spelled.TryGetValue(left, out var first) && spelled.TryGetValue(right, out var second) && first.Length + second.Length <= MergedBytes)
            {
                spelled.TryAdd(becomes, [.. first, .. second]);
            }
        }

        var merger = new PairMerger(vocabulary.Merges);
        var whole = new byte[]?[spelled.Keys.Max() + 1];
        foreach (var piece in spelled.Values)
        {
            var symbols = merger.Begin(piece.Length);
            for (var i = 0; i < piece.Length; i++) { symbols[i] = vocabulary.ByteIds[piece[i]]; }

            if (merger.Merge(piece.Length) == 1) { whole[merger.Symbols[0]] ??= piece; }
        }

        return new PieceTable(whole);
    }

    private readonly record struct OnDevice(
        MemoryBuffer Pages, MemoryBuffer Classes, MemoryBuffer Slots, MemoryBuffer Starts, MemoryBuffer Bytes, MemoryBuffer ByteIds, MemoryBuffer Merges, MemoryBuffer Merged);
}
