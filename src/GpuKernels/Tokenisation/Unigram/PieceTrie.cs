using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation.Unigram;

/// <summary>
/// All pieces as one trie over characters, in one table: what a node comes to by a character stands at the sum of the node's base and the character's code, so that a
/// step is an addition, one read of memory and a comparison. Codes are given to the characters of the vocabulary in their order, so that what belongs to a script
/// lies together.
/// </summary>
/// <seealso href="https://doi.org/10.1109/32.31365">Aoe, An efficient digital search algorithm by using a double-array structure, 1989</seealso>
internal sealed class PieceTrie
{
    /// <summary>Where there is no piece.</summary>
    public const int None = -1;

    /// <summary>The code of characters that no piece has, and of the end of a text: no step is found by it.</summary>
    public const uint NoCode = 0;

    /// <summary>The place of a step that was not found: it scores less than any piece, and none goes on from it.</summary>
    public const uint Nowhere = 0;

    /// <summary>Places, bases and codes are given in bytes of the table, so that nothing is left to multiply.</summary>
    private const int Unit = 16;

    /// <summary>The base of the root.</summary>
    private const uint Root = Unit;

    private readonly IReadOnlyList<byte[]> pieces;
    private readonly int unknown;
    private readonly CharacterMap<uint> codes;
    private readonly Step[] steps;
    private readonly int[] ids;

    /// <param name="pieces">By id. Empty ones are left out; of equal ones the last counts.</param>
    /// <param name="scores">By id.</param>
    /// <param name="unknown">What a character without a piece counts as.</param>
    /// <param name="unknownScore">Its score.</param>
    public PieceTrie(IReadOnlyList<byte[]> pieces, IReadOnlyList<double> scores, int unknown, double unknownScore)
    {
        (this.pieces, this.unknown) = (pieces, unknown);
        codes = MakeCodes(pieces, out var most);
        var nodes = new PieceNodes(pieces).All;
        foreach (ref var node in nodes[1..]) { node.Code = (int)(CodeOf((uint)node.Code) / Unit); }

        var places = new PiecePlaces(nodes, most).Count;
        (steps, ids) = (new Step[places], new int[places]);
        Array.Fill(steps, new(int.MaxValue, Nowhere, double.NegativeInfinity));
        Array.Fill(ids, None);
        for (var code = 0; code <= most; code++) { (steps[nodes[0].Base + code], ids[nodes[0].Base + code]) = (new((uint)code * Unit, Nowhere, unknownScore), unknown); }

        foreach (ref readonly var parent in nodes)
        {
            foreach (ref readonly var node in parent.Children(nodes))
            {
                var (id, score) = node.Id == None ? (None, double.NegativeInfinity) : (node.Id, scores[node.Id]);
                if (id == None && parent.Base == nodes[0].Base) { (id, score) = (unknown, unknownScore); }

                (steps[parent.Base + node.Code], ids[parent.Base + node.Code]) = (new((uint)node.Code * Unit, (uint)node.Base * Unit, score), id);
            }
        }
    }

    /// <summary>Characters' codes, or <see cref="NoCode"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint CodeOf(uint scalar) => codes[scalar];

    /// <summary>The place of the step that a character comes to by itself: its piece, or the unknown one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint First(uint code) => Root + code;

    /// <summary>The first of all steps, which <see cref="At"/> and <see cref="Next"/> take: loops keep it.</summary>
    public ref Step Table => ref MemoryMarshal.GetArrayDataReference(steps);

    /// <param name="table">Of <see cref="Table"/>.</param>
    /// <param name="place">Of <see cref="First"/> or <see cref="Next"/>.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ref readonly Step At(ref Step table, uint place) => ref Unsafe.AddByteOffset(ref table, place);

    /// <summary>The place of the step from a node by one more character, or <see cref="Nowhere"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Next(ref Step table, uint node, uint code)
    {
        // Which of the two it is is hard to foretell: nothing branches on it. A node of nothing and a code come to a step of the root that has another code.
        var place = node + code;
        return place & (uint)(((int)(At(ref table, place).Code ^ code) - 1) >> 31);
    }

    /// <summary>The piece that ends with the step; the unknown one for a character without a piece; or <see cref="None"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int IdAt(uint place) => Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(ids), place / Unit);

    public bool TryGetId(ReadOnlySpan<byte> piece, out int id)
    {
        id = None;
        if (piece.IsEmpty) { return false; }

        var place = First(CodeOf(Utf8Text.ScalarAt(piece, 0, out var at)));
        while (at < piece.Length && place != Nowhere)
        {
            place = Next(ref Table, At(ref Table, place).Node, CodeOf(Utf8Text.ScalarAt(piece, at, out var size)));
            at += size;
        }

        // A character without a piece has the id of the unknown one.
        id = IdAt(place) != unknown || piece.SequenceEqual(pieces[unknown]) ? IdAt(place) : None;
        return id != None;
    }

    private static CharacterMap<uint> MakeCodes(IReadOnlyList<byte[]> pieces, out int most)
    {
        var known = new bool[Characters.Limit];
        foreach (var piece in pieces)
        {
            for (var at = 0; at < piece.Length;)
            {
                known[Utf8Text.ScalarAt(piece, at, out var size)] = true;
                at += size;
            }
        }

        var given = new List<KeyValuePair<uint, uint>>();
        for (uint scalar = 0; scalar < known.Length; scalar++)
        {
            if (known[scalar]) { given.Add(new(scalar, (uint)(given.Count + 1) * Unit)); }
        }

        most = given.Count;
        return new(given, NoCode);
    }

    /// <summary>What a node comes to by a character. No two nodes have the same base, so that the code says from which node a step is.</summary>
    /// <param name="Code">No character's, where there is no step.</param>
    /// <param name="Node">The base of what has been come to; <see cref="Nowhere"/> where nothing goes on from there.</param>
    /// <param name="Score">Of the piece that ends here; less than any where none does.</param>
    [StructLayout(LayoutKind.Sequential, Size = Unit)]
    public readonly record struct Step(uint Code, uint Node, double Score);
}
