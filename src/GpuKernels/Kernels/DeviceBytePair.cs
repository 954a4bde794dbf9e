using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Tokenisation;
using Platform.GpuKernels.Tokenisation.Bpe;

namespace Platform.GpuKernels.Kernels;

/// <summary>
/// Byte-level BPE on an accelerator. Pieces are cut there too: most words' ends are certain whatever stands before, and from one such place to the next a
/// work item goes by the pattern. A text is left to the CPU also where, at a tile's end, 992 bytes have no such place, or a piece that is no token has more than
/// <see cref="BytePairKernels.MergedBytes"/>; and, where a text is to get a space before it, if it does not begin with one (<see cref="Lay"/> puts it there).
/// </summary>
internal sealed class DeviceBytePair : DeviceTokeniser
{
    /// <summary>The longest token that is looked for as a whole piece where a file has merges alone; longer ones come of merging.</summary>
    private const int WholeBytes = 64;

    private readonly bool _addPrefixSpace;
    private readonly SplitPattern _pattern;
    private readonly BytePairTable _table;
    private readonly OnDevice _device;

    public DeviceBytePair(Accelerator accelerator, BytePairVocabulary vocabulary, SplitPattern pattern, TokenTree added, bool addPrefixSpace)
        : base(accelerator, added)
    {
        try
        {
            (_addPrefixSpace, _pattern) = (addPrefixSpace, pattern);
            _table = BytePairTable.Make(vocabulary.WholePieces ?? Whole(vocabulary), vocabulary.ByteIds, vocabulary.Merges);
            _device = new OnDevice(
                Up<byte>(UnicodeClasses.OfAll()), Up<uint>(_table.Slots), Up<uint>(_table.Seeds), Up<ulong>(_table.Multipliers), Up<uint>(_table.ByteSymbols), Up<uint>(_table.ByteKeys),
                Up<ulong>(_table.Pairs), Up(vocabulary.Merges.Merged));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    protected override TileShape Shape => new(BytePairKernels.Tile, BytePairKernels.History, BytePairKernels.Span);

    public override void Lay(IReadOnlyList<ReadOnlyMemory<byte>> texts, TextBatch batch) => batch.Lay(texts, _addPrefixSpace);

    protected override void Tokenise(in TileWork work, int firstTile, int tiles) =>
        Launch(
            BytePairKernels.Module, "tokenise_pieces", tiles, work.Text, work.Bytes, firstTile, work.Starts, work.Texts, work.Firsts, _device.Classes,
            (uint)_pattern, _addPrefixSpace ? 1 : 0, _device.Slots, _device.Seeds, _device.Multipliers, _table.SeedShift, _table.SlotShift, _device.ByteSymbols,
            _device.ByteKeys, _device.Pairs, (uint)((_table.Pairs.Length / 4) - 1), _table.PairShift, (long)_table.PairMultiplier, _device.Merged, Suspects, work.Slots, work.Counts,
            work.Before, work.Flags);

    /// <summary>The pieces that end as one token when they are merged, of those that a file's merges spell.</summary>
    private static PieceTable Whole(BytePairVocabulary vocabulary)
    {
        var spelled = new Dictionary<int, byte[]>();
        for (var value = 0; value < vocabulary.ByteIds.Length; value++) { spelled[vocabulary.ByteIds[value]] = [(byte)value]; }

        // In the order of ranks a token's parts come before it, but in a file that never makes it.
        foreach (var (left, right, becomes) in vocabulary.Merges.InOrder())
        {
            if (spelled.TryGetValue(left, out var first) && spelled.TryGetValue(right, out var second) && first.Length + second.Length <= WholeBytes)
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
        MemoryBuffer Classes, MemoryBuffer Slots, MemoryBuffer Seeds, MemoryBuffer Multipliers, MemoryBuffer ByteSymbols, MemoryBuffer ByteKeys, MemoryBuffer Pairs, MemoryBuffer Merged);
}
