using System.Text.Unicode;
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
internal abstract class DeviceTokeniser : IDisposable
{
    /// <summary>Bytes of one batch, separators included. A character's normal form has at most 15, so that every place fits 31 bits.</summary>
    public const int BatchBytes = 64 * 1024 * 1024;

    private readonly List<MemoryBuffer> _owned = [];
    private readonly TokenTree _added;
    private readonly byte _separator;
    private readonly bool _addPrefixSpace;

    /// <param name="added">Tokens that are sought in a text before the model sees it.</param>
    /// <param name="separator">What is put behind each text, so that nothing joins two.</param>
    /// <param name="addPrefixSpace">Whether a text that does not begin with a space gets one.</param>
    protected DeviceTokeniser(Accelerator accelerator, TokenTree added, byte separator, bool addPrefixSpace)
    {
        (_added, _separator, _addPrefixSpace) = (added, separator, addPrefixSpace);
        Stream = accelerator.CreateStream();
    }

    /// <summary>The stream on which <see cref="Run"/> works.</summary>
    public AcceleratorStream Stream { get; }

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

    /// <summary>The ids of all texts one behind the other, on the device.</summary>
    /// <param name="texts">With two bytes for each at most <see cref="BatchBytes"/> together.</param>
    /// <exception cref="DeviceException">The device failed.</exception>
    public DeviceTokens Run(IReadOnlyList<ReadOnlyMemory<byte>> texts)
    {
        var bytes = texts.Sum(text => text.Length + 2L);
        if (bytes > BatchBytes) { throw new ArgumentException($"The texts have {bytes} bytes with their separators; at most {BatchBytes} are one batch.", nameof(texts)); }

        using var rented = new Rented(Stream);
        var left = new SortedSet<int>();
        var batch = Lay(texts, left, rented);
        var firsts = rented.New(4L * (texts.Count + 1));
        Stream.Upload<uint>(batch.Starts, firsts);
        var leftOnDevice = rented.New(4 * (1 + TokenKernels.Left));
        Stream.Fill(leftOnDevice, 0, 0, leftOnDevice.Bytes);
        var ends = Stream.Rent(4L * (texts.Count + 1));
        MemoryBuffer? packed = null;
        try
        {
            var found = batch.Bytes.Length == 0 ? null : Match(batch, firsts, leftOnDevice, rented);
            var count = 0;
            if (found is var (tokens, counts, places))
            {
                var groups = TokenKernels.Groups(places);
                var totals = rented.New(4L * (groups + 1));
                var before = rented.New(4L * places);
                Launch(TokenKernels.Module, "count_tokens", groups, counts, (uint)places, totals);
                Launch(TokenKernels.Module, "scan_totals", 1, totals, (uint)groups);
                count = (int)Read(totals, groups);
                packed = Stream.Rent(Math.Max(4, 4L * count));
                Launch(TokenKernels.Module, "scatter", groups, counts, (uint)places, totals, tokens, packed, before);
                Launch(TokenKernels.Module, "text_offsets", TokenKernels.Groups(texts.Count + 1), firsts, (uint)texts.Count, (uint)places, before, totals, (uint)groups, ends);
            }
            else
            {
                packed = Stream.Rent(4);
                Stream.Fill(ends, 0, 0, ends.Bytes);
            }

            ReadLeft(leftOnDevice, batch.Starts, texts.Count, left);
            return new DeviceTokens(Stream, packed, ends, count, texts.Count, left);
        }
        catch
        {
            if (packed is not null) { Stream.Return(packed); }

            Stream.Return(ends);
            throw;
        }
    }

    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>How many tokens begin at each place of the batch, and which; null where there is none at all.</summary>
    /// <param name="firsts">[texts]: each text's first byte; becomes its first place.</param>
    /// <param name="left">See `leave` in shim.h: bytes of the batch.</param>
    protected abstract Matched? Match(Batch batch, MemoryBuffer firsts, MemoryBuffer left, Rented rented);

    protected virtual void Dispose(bool disposing)
    {
        if (!disposing) { return; }

        foreach (var table in _owned) { table.Dispose(); }
        Stream.Dispose();
    }

    protected void Launch(KernelModule module, string kernel, int groups, params ReadOnlySpan<KernelArgument> arguments) =>
        Stream.Launch(Stream.Accelerator.Load(module, kernel), new LaunchGrid(groups, TokenKernels.Group), arguments);

    /// <summary>One number of a buffer, waited for.</summary>
    protected uint Read(MemoryBuffer buffer, int at)
    {
        var one = new uint[1];
        Stream.Download(buffer, one.AsSpan(), 4L * at);
        return one[0];
    }

    /// <summary>A table that stays on the device.</summary>
    protected MemoryBuffer Up<T>(ReadOnlySpan<T> values)
        where T : unmanaged
    {
        var buffer = Stream.Accelerator.Allocate(values, Stream);
        _owned.Add(buffer);
        return buffer;
    }

    private Batch Lay(IReadOnlyList<ReadOnlyMemory<byte>> texts, SortedSet<int> left, Rented rented)
    {
        var all = new byte[texts.Sum(text => text.Length + 2)];
        var starts = new uint[texts.Count];
        var at = 0;
        for (var i = 0; i < texts.Count; i++)
        {
            starts[i] = (uint)at;
            var text = texts[i].Span;

            // What is left to the CPU is an empty text here.
            if (!Utf8.IsValid(text) || (_added.MayMatch(text) && _added.TryFind(text, 0, 0, out _)))
            {
                left.Add(i);
                text = [];
            }

            if (_addPrefixSpace && text.Length > 0 && text[0] != ' ') { all[at++] = (byte)' '; }

            text.CopyTo(all.AsSpan(at));
            at += text.Length;
            all[at++] = _separator;
        }

        Array.Resize(ref all, at);
        var onDevice = rented.New(Math.Max(1, at));
        Stream.Upload<byte>(all, onDevice);
        return new Batch(all, starts, onDevice);
    }

    private void ReadLeft(MemoryBuffer onDevice, uint[] starts, int texts, SortedSet<int> left)
    {
        var places = new uint[1 + TokenKernels.Left];
        Stream.Download(onDevice, places.AsSpan());
        if (places[0] > TokenKernels.Left)
        {
            left.UnionWith(Enumerable.Range(0, texts));
            return;
        }

        foreach (var place in places.AsSpan(1, (int)places[0]))
        {
            var text = Array.BinarySearch(starts, place);
            left.Add(text >= 0 ? text : ~text - 1);
        }
    }

    /// <param name="Bytes">The texts with their separators.</param>
    /// <param name="Starts">[texts]: where each begins.</param>
    /// <param name="OnDevice">The same bytes.</param>
    protected sealed record Batch(byte[] Bytes, uint[] Starts, MemoryBuffer OnDevice);

    /// <param name="Found">At a word's first place and behind it: its tokens.</param>
    /// <param name="Counts">At a word's first place: how many.</param>
    /// <param name="Places">How many places there are.</param>
    protected sealed record Matched(MemoryBuffer Found, MemoryBuffer Counts, int Places);

    /// <summary>Memory of one batch.</summary>
    protected sealed class Rented(AcceleratorStream stream) : IDisposable
    {
        private readonly List<MemoryBuffer> _buffers = [];

        public MemoryBuffer New(long bytes)
        {
            var buffer = stream.Rent(bytes);
            _buffers.Add(buffer);
            return buffer;
        }

        public void Dispose()
        {
            foreach (var buffer in _buffers) { stream.Return(buffer); }
        }
    }
}

/// <summary>The ids of many texts on a device, until it is disposed of.</summary>
/// <param name="ids">[<paramref name="count"/>] ids, one text behind the other.</param>
/// <param name="offsets">[<paramref name="texts"/> + 1]: where each text's begin.</param>
/// <param name="left">The texts that the CPU must do; their ids here are of no use.</param>
internal sealed class DeviceTokens(AcceleratorStream stream, MemoryBuffer ids, MemoryBuffer offsets, int count, int texts, IReadOnlySet<int> left) : IDisposable
{
    public MemoryBuffer Ids => ids;

    public MemoryBuffer Offsets => offsets;

    public int Count => count;

    public int Texts => texts;

    public IReadOnlySet<int> Left => left;

    public (int[] Ids, int[] Offsets) Download()
    {
        var (all, ends) = (new int[count], new int[texts + 1]);
        stream.Download(ids, all.AsSpan());
        stream.Download(offsets, ends.AsSpan());
        return (all, ends);
    }

    public void Dispose()
    {
        stream.Return(ids);
        stream.Return(offsets);
    }
}
