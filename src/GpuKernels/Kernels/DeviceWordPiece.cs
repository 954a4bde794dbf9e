using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Tokenisation;
using Platform.GpuKernels.Tokenisation.WordPiece;

namespace Platform.GpuKernels.Kernels;

/// <summary>WordPiece with BERT's normaliser and pre-tokeniser on an accelerator.</summary>
internal sealed class DeviceWordPiece : DeviceTokeniser
{
    private readonly OnDevice _device;
    private readonly WordPieceTable _table;
    private readonly int _unknown;
    private readonly int _maximalCharacters;

    public DeviceWordPiece(Accelerator accelerator, WordPieceModel model, BertCharacters characters, TokenTree added)
        : base(accelerator, added, separator: (byte)' ', addPrefixSpace: false)
    {
        try
        {
            var tokens = new List<(byte[], int)>();
            for (var id = 0; tokens.Count < model.Count; id++)
            {
                if (model.TryGetToken(id, out var token)) { tokens.Add((token.ToArray(), id)); }
            }

            _table = WordPieceTable.Make(tokens, model.Continuation);
            (_unknown, _maximalCharacters) = (model.Unknown, model.MaximalCharacters);
            _device = new OnDevice(
                Up<ushort>(characters.Pages),
                Up<uint>(characters.Entries),
                Up<byte>(characters.Spelled),
                Up<uint>(_table.BeginSlots),
                Up<uint>(_table.GoOnSlots),
                Up<uint>(_table.Tokens),
                Up<byte>(_table.Spelling));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    protected override Matched? Match(Batch batch, MemoryBuffer firsts, MemoryBuffer left, Rented rented)
    {
        var count = batch.Bytes.Length;
        var groups = TokenKernels.Groups(count);
        var places = rented.New(4L * count);
        var totals = rented.New(4L * (groups + 1));
        Launch(WordPieceKernels.Module, "measure", groups, batch.OnDevice, (uint)count, _device.Pages, _device.Entries, totals, left);
        Launch(TokenKernels.Module, "scan_totals", 1, totals, (uint)groups);
        var normalBytes = (int)Read(totals, groups);
        if (normalBytes == 0) { return null; }

        var normal = rented.New(normalBytes);
        var classes = rented.New(normalBytes);
        var found = rented.New(4L * normalBytes);
        var counts = rented.New(4L * normalBytes);
        Launch(WordPieceKernels.Module, "normalise", groups, batch.OnDevice, (uint)count, _device.Pages, _device.Entries, _device.Spelled, totals, normal, classes, places);
        Launch(
            WordPieceKernels.Module, "match", TokenKernels.Groups(normalBytes), normal, classes, (uint)normalBytes,
            _device.Begin, (uint)((_table.BeginSlots.Length / 2) - 1), _device.GoOn, (uint)((_table.GoOnSlots.Length / 2) - 1),
            _device.Tokens, _device.Spelling, (uint)_table.Longest, (uint)_maximalCharacters, (uint)_unknown, found, counts);
        Launch(WordPieceKernels.Module, "normal_starts", TokenKernels.Groups(batch.Starts.Length), firsts, (uint)batch.Starts.Length, places);
        return new Matched(found, counts, normalBytes);
    }

    private readonly record struct OnDevice(MemoryBuffer Pages, MemoryBuffer Entries, MemoryBuffer Spelled, MemoryBuffer Begin, MemoryBuffer GoOn, MemoryBuffer Tokens, MemoryBuffer Spelling);
}
