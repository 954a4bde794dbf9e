using System.Numerics;

namespace Platform.GpuKernels.Search;

/// <summary>A set of rows 0..<see cref="Length"/>-1, a bit each. Whoever shares one does not change it.</summary>
internal sealed class Bitmap
{
    private readonly ulong[] words;

    public Bitmap(int length, bool full = false)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        (Length, words) = (length, new ulong[(length + 63L) / 64]);
        if (full) { words.AsSpan().Fill(ulong.MaxValue); }

        ClearBeyond();
    }

    private Bitmap(int length, ulong[] words)
    {
        (Length, this.words) = (length, words);
        ClearBeyond();
    }

    public int Length { get; }

    /// <summary>64 rows each, the first in the least bit; bits from <see cref="Length"/> on are zero.</summary>
    public ReadOnlySpan<ulong> Words => words;

    public bool this[int row]
    {
        get => (words[row >> 6] >> row & 1) != 0;
        set
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)Length, nameof(row));
            if (value) { words[row >> 6] |= 1UL << row; }
            else { words[row >> 6] &= ~(1UL << row); }
        }
    }

    /// <param name="words">As <see cref="Words"/> gives them; bits beyond the length are ignored.</param>
    public static Bitmap From(int length, ReadOnlySpan<ulong> words)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(words.Length, (int)((length + 63L) / 64));
        return new Bitmap(length, words.ToArray());
    }

    public int Count()
    {
        var count = 0;
        foreach (var word in words) { count += BitOperations.PopCount(word); }
        return count;
    }

    public Bitmap Copy() => new(Length, [.. words]);

    public Bitmap And(Bitmap other) => Combine(other, static (mine, its) => mine & its);

    public Bitmap Or(Bitmap other) => Combine(other, static (mine, its) => mine | its);

    public Bitmap AndNot(Bitmap other) => Combine(other, static (mine, its) => mine & ~its);

    public Bitmap Not() => Combine(this, static (mine, _) => ~mine);

    public IEnumerable<int> Rows()
    {
        for (var at = 0; at < words.Length; at++)
        {
            for (var word = words[at]; word != 0; word &= word - 1) { yield return (at << 6) + BitOperations.TrailingZeroCount(word); }
        }
    }

    private Bitmap Combine(Bitmap other, Func<ulong, ulong, ulong> combine)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(other.Length, Length, nameof(other));
        var combined = new ulong[words.Length];
        for (var at = 0; at < combined.Length; at++) { combined[at] = combine(words[at], other.words[at]); }
        return new Bitmap(Length, combined);
    }

    private void ClearBeyond()
    {
        if (Length % 64 != 0) { words[^1] &= (1UL << (Length % 64)) - 1; }
    }
}
