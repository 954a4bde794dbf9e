using System.Text;
using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Devices.Cpu;
using Platform.GpuKernels.Tokenisation.Bpe;

namespace Platform.GpuKernels.Kernels;

/// <summary>The module bpe.cl and its references, which go through a text from its beginning and look nothing up by a hash of their own.</summary>
internal static class BytePairKernels
{
    /// <summary>Work items that merge one piece.</summary>
    public const int Lanes = 8;

    public const int MergeGroup = 64;

    private const byte EndOfText = 0xFF;

    public static readonly KernelModule Module = new(
        "bpe",
        ("split", Split),
        ("look_up", LookUp),
        ("merge_pieces", MergePieces),
        ("place", Place));

    private static void Split(CpuLaunch launch)
    {
        var bytes = launch.Buffer<byte>(0)[..launch.Int(1)];
        var lengths = launch.Buffer<ushort>(6);
        var pattern = (SplitPattern)launch.Int(4);
        for (var first = 0; first < bytes.Length;)
        {
            var text = bytes.Slice(first, bytes[first..].IndexOf(EndOfText));
            for (var start = 0; start < text.Length;)
            {
                var end = pattern.End(text, start);
                if (end - start <= launch.Int(5)) { lengths[first + start] = (ushort)(end - start); }
                else { TokenKernels.LeaveAt(launch.Buffer<uint>(7), (uint)(first + start)); }

                start = end;
            }

            first += text.Length + 1;
        }
    }

    private static void LookUp(CpuLaunch launch)
    {
        var pieces = new Dictionary<string, uint>(StringComparer.Ordinal);
        var starts = launch.Buffer<int>(5);
        foreach (var slot in launch.Buffer<ulong>(3)[..(launch.Int(4) + 1)])
        {
            if (slot == 0) { continue; }

            var token = (int)(uint)slot - 1;
            pieces.Add(Encoding.Latin1.GetString(launch.Buffer<byte>(6)[starts[token]..starts[token + 1]]), (uint)token);
        }

        var found = launch.Buffer<uint>(9);
        var counts = launch.Buffer<uint>(10);
        var numbers = launch.Buffer<int>(11);
        counts[..launch.Int(1)].Clear();
        for (var at = 0; at < launch.Int(1); at++)
        {
            var length = launch.Buffer<ushort>(2)[at];
            if (length == 0) { continue; }

            if (length > launch.Int(8))
            {
                (launch.Buffer<uint>(13)[numbers[1] * 2], launch.Buffer<uint>(13)[(numbers[1] * 2) + 1]) = ((uint)at, length);
                numbers[1]++;
            }
            else if (pieces.TryGetValue(Encoding.Latin1.GetString(launch.Buffer<byte>(0).Slice(at, length)), out var token)) { (found[at], counts[at]) = (token, 1); }
            else { launch.Buffer<uint>(12)[numbers[0]++] = (uint)at; }
        }
    }

    private static void MergePieces(CpuLaunch launch)
    {
        var ranks = new Dictionary<(uint Left, uint Right), int>();
        foreach (var slot in launch.Buffer<ulong>(5)[..(launch.Int(6) + 1)])
        {
            if (slot != ulong.MaxValue) { ranks.Add(((uint)(slot >> 42), (uint)(slot >> 20) & 0x3F_FFFF), (int)slot & 0xF_FFFF); }
        }

        foreach (var at in launch.Buffer<int>(2)[..launch.Int(3)])
        {
            var symbols = new List<uint>();
            foreach (var value in launch.Buffer<byte>(0).Slice(at, launch.Buffer<ushort>(1)[at])) { symbols.Add(launch.Buffer<uint>(4)[value]); }

            while (true)
            {
                var (best, least) = (-1, int.MaxValue);
                for (var i = 0; i + 1 < symbols.Count; i++)
                {
                    if (ranks.TryGetValue((symbols[i], symbols[i + 1]), out var rank) && rank < least) { (best, least) = (i, rank); }
                }

                if (best < 0) { break; }

                symbols[best] = launch.Buffer<uint>(9)[least];
                symbols.RemoveAt(best + 1);
            }

            symbols.CopyTo(launch.Buffer<uint>(10)[at..]);
            launch.Buffer<uint>(11)[at] = (uint)symbols.Count;
        }
    }

    private static void Place(CpuLaunch launch)
    {
        var firsts = launch.Buffer<int>(2);
        for (var piece = 0; piece < launch.Int(1); piece++)
        {
            var at = launch.Buffer<int>(0)[piece * 2];
            launch.Buffer<uint>(3)[firsts[piece]..firsts[piece + 1]].CopyTo(launch.Buffer<uint>(4)[at..]);
            launch.Buffer<int>(5)[at] = firsts[piece + 1] - firsts[piece];
        }
    }
}
