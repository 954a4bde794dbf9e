using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Kernels;

namespace Platform.GpuKernels.Tests.Kernels;

[Collection("devices")]
public class Attention_on_a_device
{
    /// <summary>The weights are rounded to bf16 before they multiply the values: 2^-9 of each at most (measured: 2e-3).</summary>
    private const double Bound = 5e-3;

    public static MatrixTheoryData<DeviceKind, int, bool> Cases => new([DeviceKind.OpenCl, DeviceKind.Cuda], [32, 64], [false, true]);

    [Theory, MemberData(nameof(Cases))]
    public void is_what_the_reference_computes_for_sequences_of_any_length(DeviceKind kind, int width, bool biased)
    {
        // Of six heads the second group of four has two.
        const int heads = 6;

        // One token, none, and a token less and more than a quarter, a half, the whole of a tile's queries and of what is passed over at a time.
        int[] lengths = [1, 0, 15, 16, 17, 31, 32, 33, 63, 64, 65, 95, 97, 127, 128, 129, 150, 191, 193, 256, 300];
        int[] offsets = [.. Enumerable.Range(0, lengths.Length + 1).Select(i => lengths[..i].Sum())];
        int[] tiles = [.. Attention.Tiles(offsets, width), 0, 0, 0];
        var (tokens, reach) = (offsets[^1], Attention.Reach(lengths.Max()));
        var pair = Same.Run<ushort>(kind, tokens * heads * width, (on, to) =>
            Attention.Launch(on.Stream, on.Up(Same.Halves(5, tokens * 3 * heads * width)), to, on.Up(tiles), tiles.Length / 3, tokens, heads, width, biased ? on.Up(Same.Floats(6, 2 * heads * reach)) : null, reach));
        Assert.InRange(Same.Error(pair), 0, Bound);
    }

    [Theory, MemberData(nameof(Same.Devices), MemberType = typeof(Same))]
    public void picks_the_one_value_whose_key_answers_the_query(DeviceKind kind)
    {
        // Query i is far along axis i % 32, key j along axis j; each key's value is its number: the result is the number, exactly.
        const int length = 32, width = 32;
        var qkv = new float[length * 3 * width];
        for (var token = 0; token < length; token++)
        {
            qkv[(token * 3 * width) + ((token * 5) % width)] = 64;
            qkv[(token * 3 * width) + width + token] = 64;
            for (var i = 0; i < width; i++) { qkv[(token * 3 * width) + (2 * width) + i] = token; }
        }

        int[] tiles = Attention.Tiles([0, length], width);
        var (_, found) = Same.Run<ushort>(kind, length * width, (on, to) =>
            Attention.Launch(on.Stream, on.Up(Bf16.From(qkv)), to, on.Up(tiles), tiles.Length / 3, length, 1, width));
        for (var i = 0; i < found.Length; i++) { Assert.Equal((float)(i / width * 5 % width), Bf16.ToSingle(found[i])); }
    }
}
