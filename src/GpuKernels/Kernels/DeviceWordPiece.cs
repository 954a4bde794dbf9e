using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Tokenisation.WordPiece;

namespace Platform.GpuKernels.Kernels;

/// <summary>
/// WordPiece with BERT's normaliser and pre-tokeniser on an accelerator: UTF-8 in, the same ids as on the CPU out, before truncation and special
/// tokens. One thread at a time.
/// </summary>
internal sealed class DeviceWordPiece : IDisposable
{
    /// <summary>Bytes of one batch, separators included. A character's normal form has at most 15, so that every place fits 31 bits.</summary>
    public const int BatchBytes = 64 * 1024 * 1024;

    private readonly AcceleratorStream _stream;
    private readonly List<MemoryBuffer> _owned = [];
    private readonly OnDevice _device;
    private readonly WordPieceTable _table;
    private readonly IReadOnlyList<byte[]> _added;
    private readonly int _unknown;
    private readonly int _maximalCharacters;

    /// <param name="added">Tokens that the CPU's tokeniser finds in a text before it is normalised: a text that has one is left to it.</param>
    public DeviceWordPiece(Accelerator accelerator, WordPieceModel model, BertCharacters characters, IReadOnlyList<byte[]> added)
    {
        _added = added;
        _stream = accelerator.CreateStream();
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

    /// <summary>The ids of all texts one behind the other, and where each text's begin; false if a text has a character or an added token that only the CPU does.</summary>
    /// <param name="texts">Valid UTF-8; with a separator for each at most <see cref="BatchBytes"/> together.</param>
    /// <param name="offsets">[texts + 1].</param>
    public bool TryTokenise(IReadOnlyList<ReadOnlyMemory<byte>> texts, out int[] ids, out int[] offsets)
    {
        var bytes = texts.Sum(text => text.Length + 1L);
        if (bytes > BatchBytes) { throw new ArgumentException($"The texts have {bytes} bytes with their separators; at most {BatchBytes} are one batch.", nameof(texts)); }

        (ids, offsets) = ([], new int[texts.Count + 1]);
        if (texts.Count == 0) { return true; }
        if (texts.Any(text => _added.Any(token => text.Span.IndexOf(token) >= 0))) { return false; }

        var all = new byte[bytes];
        var starts = new uint[texts.Count];
        var at = 0;
        for (var i = 0; i < texts.Count; i++)
        {
            starts[i] = (uint)at;
            texts[i].Span.CopyTo(all.AsSpan(at));
            at += texts[i].Length;
            all[at++] = (byte)' ';
        }

        var groups = Groups(at);
        var rented = new List<MemoryBuffer>();
        MemoryBuffer Rent(long size)
        {
            var buffer = _stream.Rent(size);
            rented.Add(buffer);
            return buffer;
        }

        try
        {
            var text = Rent(at);
            var places = Rent(4L * at);
            var totals = Rent(4L * (groups + 1));
            var specials = Rent(4);
            _stream.Upload<byte>(all, text);
            _stream.Fill(specials, 0, 0, 4);
            Launch("measure", groups, text, (uint)at, _device.Pages, _device.Entries, totals, specials);
            Launch("scan_totals", 1, totals, (uint)groups);
            var one = new uint[1];
            _stream.Download(specials, one.AsSpan());
            if (one[0] != 0) { return false; }

            _stream.Download(totals, one.AsSpan(), 4L * groups);
            var normalBytes = (int)one[0];
            if (normalBytes == 0) { return true; }

            var normal = Rent(normalBytes);
            var classes = Rent(normalBytes);
            var found = Rent(4L * normalBytes);
            var counts = Rent(4L * normalBytes);
            var before = Rent(4L * normalBytes);
            var normalGroups = Groups(normalBytes);
            var tokenTotals = Rent(4L * (normalGroups + 1));
            Launch("normalise", groups, text, (uint)at, _device.Pages, _device.Entries, _device.Spelled, totals, normal, classes, places);
            Launch(
                "match", normalGroups, normal, classes, totals, (uint)groups, _device.Begin, (uint)((_table.BeginSlots.Length / 2) - 1), _device.GoOn, (uint)((_table.GoOnSlots.Length / 2) - 1),
                _device.Tokens, _device.Spelling, (uint)_table.Longest, (uint)_maximalCharacters, (uint)_table.Ids.Length, found, counts);
            Launch("count_tokens", normalGroups, counts, totals, (uint)groups, tokenTotals);
            Launch("scan_totals", 1, tokenTotals, (uint)normalGroups);
            _stream.Download(tokenTotals, one.AsSpan(), 4L * normalGroups);
            var packed = Rent(Math.Max(4, 4L * one[0]));
            var firsts = Rent(4L * texts.Count);
            var ends = Rent(4L * (texts.Count + 1));
            _stream.Upload<uint>(starts, firsts);
            Launch("scatter", normalGroups, counts, totals, (uint)groups, tokenTotals, found, packed, before);
            Launch("text_offsets", Groups(texts.Count + 1), firsts, (uint)texts.Count, (uint)at, places, totals, (uint)groups, before, tokenTotals, (uint)normalGroups, ends);
            ids = new int[one[0]];
            _stream.Download(packed, ids.AsSpan());
            _stream.Download(ends, offsets.AsSpan());
        }
        finally
        {
            foreach (var buffer in rented) { _stream.Return(buffer); }
        }

        // Numbers of the table to ids of the vocabulary; one beyond is the unknown token.
        foreach (ref var id in ids.AsSpan()) { id = id < _table.Ids.Length ? _table.Ids[id] : _unknown; }

        return true;
    }

    public void Dispose()
    {
        foreach (var table in _owned) { table.Dispose(); }
        _stream.Dispose();
    }

    private static int Groups(int items) => (items + WordPieceKernels.Group - 1) / WordPieceKernels.Group;

    private void Launch(string kernel, int groups, params ReadOnlySpan<KernelArgument> arguments) =>
        _stream.Launch(_stream.Accelerator.Load(WordPieceKernels.Module, kernel), new LaunchGrid(groups, WordPieceKernels.Group), arguments);

    private MemoryBuffer Up<T>(ReadOnlySpan<T> values)
        where T : unmanaged
    {
        var buffer = _stream.Accelerator.Allocate(values, _stream);
        _owned.Add(buffer);
        return buffer;
    }

    private readonly record struct OnDevice(MemoryBuffer Pages, MemoryBuffer Entries, MemoryBuffer Spelled, MemoryBuffer Begin, MemoryBuffer GoOn, MemoryBuffer Tokens, MemoryBuffer Spelling);
}
