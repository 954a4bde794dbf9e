using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Platform.GpuKernels.Tokenisation.Unicode;

/// <summary>A value for every character, in pages of 256 that are kept once where they are alike.</summary>
internal sealed class CharacterMap<T>
{
    private const int PageBits = 8;
    private const int PageSize = 1 << PageBits;

    private readonly ushort[] pageOf = new ushort[Characters.Limit >> PageBits];
    private readonly T[] values;

    /// <summary>From a value for each of the <see cref="Characters.Limit"/> code points.</summary>
    public CharacterMap(ReadOnlySpan<T> all)
    {
        var known = new Dictionary<int, List<ushort>>();
        var pages = new List<T>();
        for (var page = 0; page < pageOf.Length; page++)
        {
            var content = all.Slice(page << PageBits, PageSize);
            var hash = default(HashCode);
            foreach (var value in content) { hash.Add(value); }

            if (!known.TryGetValue(hash.ToHashCode(), out var alike)) { known.Add(hash.ToHashCode(), alike = []); }

            var same = -1;
            foreach (var other in alike)
            {
                if (content.SequenceEqual(CollectionsMarshal.AsSpan(pages).Slice(other << PageBits, PageSize), null)) { same = other; }
            }

            if (same < 0)
            {
                same = pages.Count >> PageBits;
                alike.Add((ushort)same);
                pages.AddRange(content);
            }

            pageOf[page] = (ushort)same;
        }

        values = [.. pages];
    }

    /// <summary>From the places where the value changes, in order and the first of them 0: pages within which none does are kept once.</summary>
    public CharacterMap(IReadOnlyList<(uint From, T Value)> changes)
    {
        var known = new List<(T Value, ushort Page)>();
        var pages = new List<T[]>();
        for (var (page, next) = (0, 0); page < pageOf.Length; page++)
        {
            var first = (uint)page << PageBits;
            while (next < changes.Count && changes[next].From <= first) { next++; }

            var value = changes[next - 1].Value;
            if (next == changes.Count || changes[next].From >= first + PageSize)
            {
                var same = known.FindIndex(each => EqualityComparer<T>.Default.Equals(each.Value, value));
                if (same >= 0)
                {
                    pageOf[page] = known[same].Page;
                    continue;
                }

                known.Add((value, (ushort)pages.Count));
            }

            pageOf[page] = (ushort)pages.Count;
            pages.Add(new T[PageSize]);
            pages[^1].AsSpan().Fill(value);
            for (; next < changes.Count && changes[next].From < first + PageSize; next++) { pages[^1].AsSpan((int)(changes[next].From - first)).Fill(changes[next].Value); }
        }

        values = [.. pages.SelectMany(page => page)];
    }

    /// <summary>The given values, the last for each code point, and <paramref name="otherwise"/> for all others.</summary>
    public CharacterMap(IEnumerable<KeyValuePair<uint, T>> given, T otherwise)
    {
        var pages = new List<T[]> { new T[PageSize] };
        Array.Fill(pages[0], otherwise);
        foreach (var (scalar, value) in given)
        {
            ref var page = ref pageOf[scalar >> PageBits];
            if (page == 0)
            {
                page = (ushort)pages.Count;
                pages.Add([.. pages[0]]);
            }

            pages[page][scalar & (PageSize - 1)] = value;
        }

        values = [.. pages.SelectMany(page => page)];
    }

    public ref readonly T this[uint scalar]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ref values[(pageOf[scalar >> PageBits] << PageBits) | (int)(scalar & (PageSize - 1))];
    }
}
