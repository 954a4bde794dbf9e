using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Tokenisation;
using Platform.GpuKernels.Tokenisation.WordPiece;

namespace Platform.GpuKernels.Kernels;

/// <summary>WordPiece with BERT's normaliser and pre-tokeniser on an accelerator.</summary>
internal sealed class DeviceWordPiece : DeviceTokeniser
{
    private readonly OnDevice _device;
    private readonly WordPieceTable _table;
    private readonly uint _unknown;
    private readonly uint _maximalCharacters;
    private readonly bool _lowers;
    private readonly uint _suspect;
    private readonly bool _several;

    public DeviceWordPiece(Accelerator accelerator, WordPieceModel model, BertCharacters characters, TokenTree added)
        : base(accelerator, added)
    {
        try
        {
            var tokens = new List<(byte[], int)>();
            for (var id = 0; tokens.Count < model.Count; id++)
            {
                if (model.TryGetToken(id, out var token)) { tokens.Add((token.ToArray(), id)); }
            }

            _table = WordPieceTable.Make(tokens, model.Continuation);
            (_unknown, _maximalCharacters) = ((uint)model.Unknown, (uint)Math.Max(0, model.MaximalCharacters));
            _lowers = characters.Lowers;

            // Texts hardly have the character DEL.
            _suspect = added.FirstBytes is { Count: 1 } one && one.First() is < 0x80 and var only ? only : 0x7Fu;
            _several = _suspect == 0x7F && added.FirstBytes.Count > 0;
            _device = new OnDevice(Up<ushort>(characters.Pages), Up<uint>(characters.Entries), Up<byte>(characters.Spelled), Up<uint>(_table.Wholes), Up<uint>(_table.BucketSeeds), Up<uint>(_table.Steps));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    protected override TileShape Shape => new(WordPieceKernels.Tile, WordPieceKernels.History, WordPieceKernels.Span);

    public override void Lay(IReadOnlyList<ReadOnlyMemory<byte>> texts, TextBatch batch) => batch.Lay(texts, prefixes: false);

    protected override void Tokenise(in TileWork work, int firstTile, int tiles) =>
        Launch(
            WordPieceKernels.Module, "tokenise_tiles", tiles, work.Text, work.Bytes, firstTile, work.Starts, work.Texts, work.Firsts, _device.Pages, _device.Entries, _device.Spelled,
            _lowers ? uint.MaxValue : 0, _device.Wholes, _device.Seeds, _table.BucketShift, _table.SlotShift, _device.Steps, _table.GoOn == WordPieceTable.NoNode ? 0 : _table.Steps[((int)_table.GoOn * 4) + 1],
            _table.GoOn, _maximalCharacters, _unknown, Suspects, _suspect * 0x0101_0101u, _several ? 1 : 0, work.Slots, work.Counts, work.Before, work.Flags);

    private readonly record struct OnDevice(MemoryBuffer Pages, MemoryBuffer Entries, MemoryBuffer Spelled, MemoryBuffer Wholes, MemoryBuffer Seeds, MemoryBuffer Steps);
}
