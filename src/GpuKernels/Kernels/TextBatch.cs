using System.Runtime.InteropServices;
using Platform.GpuKernels.Devices;

namespace Platform.GpuKernels.Kernels;

/// <summary>
/// Texts one behind the other in pinned memory, to be tokenised on a device. Whoever has them writes <see cref="Memory"/> and <see cref="Starts"/>, then calls
/// <see cref="Set"/>; both stay as they are until the tokens have been waited for (<see cref="DeviceTokens.Count"/>).
/// </summary>
internal sealed class TextBatch : IDisposable
{
    private readonly PinnedBuffer _memory;
    private readonly PinnedBuffer _starts;

    /// <param name="stream">Of the accelerator; it must outlive the batch.</param>
    /// <param name="bytes">How many there is room for, at most <see cref="DeviceTokeniser.BatchBytes"/>.</param>
    /// <param name="texts">How many there is room for, at most <see cref="DeviceTokeniser.BatchBytes"/>.</param>
    public TextBatch(AcceleratorStream stream, int bytes, int texts)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, DeviceTokeniser.BatchBytes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(texts, DeviceTokeniser.BatchBytes);
        _memory = new PinnedBuffer(stream, Math.Max(1, bytes));
        try { _starts = new PinnedBuffer(stream, Math.Max(1, texts) * sizeof(int)); }
        catch
        {
            _memory.Dispose();
            throw;
        }
    }

    /// <summary>Room for the texts' bytes.</summary>
    public Span<byte> Memory => _memory.Span;

    /// <summary>Room for where each text begins.</summary>
    public Span<int> Starts => MemoryMarshal.Cast<byte, int>(_starts.Span);

    public int Bytes { get; private set; }

    public int Texts { get; private set; }

    public ReadOnlySpan<byte> this[int text] => Memory[Starts[text]..(text + 1 < Texts ? Starts[text + 1] : Bytes)];

    /// <summary>Says that the first bytes are those of texts, of which the first begins at 0 and each ends where the next begins, or at the end.</summary>
    public void Set(int bytes, int texts)
    {
        var starts = Starts[..texts];
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, Memory.Length);
        if (texts == 0 ? bytes != 0 : starts[0] != 0 || starts[^1] > bytes) { throw new ArgumentException($"The texts are not the first {bytes} bytes.", nameof(texts)); }

        for (var i = 1; i < starts.Length; i++)
        {
            if (starts[i] < starts[i - 1]) { throw new ArgumentException($"Text {i} begins at {starts[i]}, before the text before it.", nameof(texts)); }
        }

        (Bytes, Texts) = (bytes, texts);
    }

    public void UploadBytes(AcceleratorStream stream, MemoryBuffer to, int from, int end) => _memory.Upload(stream, from, to, from, end - from);

    public void UploadStarts(AcceleratorStream stream, MemoryBuffer to) => _starts.Upload(stream, 0, to, 0, Texts * sizeof(int));

    /// <summary>Copies texts into the batch, on all cores.</summary>
    /// <param name="texts">With one byte for each no more than there is room for.</param>
    /// <param name="prefixes">Whether a text that does not begin with a space gets one.</param>
    public void Lay(IReadOnlyList<ReadOnlyMemory<byte>> texts, bool prefixes)
    {
        var starts = Starts;
        var at = 0;
        for (var i = 0; i < texts.Count; i++)
        {
            starts[i] = at;
            at += texts[i].Length + (prefixes && IsPrefixed(texts[i].Span) ? 1 : 0);
        }

        Set(at, texts.Count);
        InRanges(texts.Count, Bytes, (from, end) =>
        {
            for (var i = from; i < end; i++)
            {
                var text = texts[i].Span;
                var to = Memory[Starts[i]..];
                if (prefixes && IsPrefixed(text))
                {
                    to[0] = (byte)' ';
                    to = to[1..];
                }

                text.CopyTo(to);
            }
        });

        static bool IsPrefixed(ReadOnlySpan<byte> text) => !text.IsEmpty && text[0] != ' ';
    }

    public void Dispose()
    {
        _memory.Dispose();
        _starts.Dispose();
    }

    /// <summary>Runs what is done for each of many texts, on all cores where they are large.</summary>
    private static void InRanges(int texts, long bytes, Action<int, int> run)
    {
        // Of a size that a core needs some 50 microseconds to copy, so that starting it costs little.
        const int rangeBytes = 256 * 1024;
        var ranges = (int)Math.Min(texts, (bytes + rangeBytes - 1) / rangeBytes);
        if (ranges <= 1) { run(0, texts); }
        else { Parallel.For(0, ranges, range => run((int)((long)texts * range / ranges), (int)((long)texts * (range + 1) / ranges))); }
    }
}
