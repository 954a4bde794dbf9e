using Platform.GpuKernels.Tokenisation;

namespace Platform.GpuKernels.Tests.Tokenisation;

public class A_perfect_hash
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(13)]
    [InlineData(1000)]
    [InlineData(52_428)]
    public void gives_each_key_a_slot_of_its_own_and_none_the_first(int count)
    {
        var random = new Random(count);
        foreach (Func<int, ulong> key in new Func<int, ulong>[] { i => (ulong)i, i => (ulong)i << 21, i => ((ulong)random.Next() << 31) | (uint)i })
        {
            ulong[] keys = [.. Enumerable.Range(0, count).Select(key)];
            var hash = new PerfectHash(keys);
            var slots = keys.Select(hash.SlotOf).ToHashSet();
            Assert.Equal(count, slots.Count);
            Assert.DoesNotContain(0, slots);
            Assert.All([.. slots, hash.SlotOf(ulong.MaxValue), hash.SlotOf(1UL << 62)], slot => Assert.InRange(slot, 0, hash.Slots - 1));
        }
    }

    [Fact]
    public void of_keys_that_are_not_all_different_is_an_error() => Assert.Throws<InvalidOperationException>(() => new PerfectHash([1, 2, 1]));
}
