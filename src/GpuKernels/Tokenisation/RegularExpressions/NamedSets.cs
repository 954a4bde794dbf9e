using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation.RegularExpressions;

/// <summary>Sets of characters by the names that regular expressions have for them (Oniguruma's doc/RE and doc/UNICODE_PROPERTIES).</summary>
internal static class NamedSets
{
    private const string Categories = """
        letter l, uppercaseletter lu, lowercaseletter ll, titlecaseletter lt, casedletter lc, modifierletter lm, otherletter lo, mark m, combiningmark m, nonspacingmark mn, spacingmark mc,
        enclosingmark me, number n, decimalnumber nd, letternumber nl, othernumber no, punctuation p, punct p, connectorpunctuation pc, dashpunctuation pd, openpunctuation ps, closepunctuation pe,
        initialpunctuation pi, finalpunctuation pf, otherpunctuation po, symbol s, mathsymbol sm, currencysymbol sc, modifiersymbol sk, othersymbol so, separator z, spaceseparator zs,
        lineseparator zl, paragraphseparator zp, other c, control cc, format cf, privateuse co, unassigned cn
        """;

    private static readonly Dictionary<string, string> LongCategories =
        Categories.Split(',', StringSplitOptions.TrimEntries).Select(line => line.Split(' ')).ToDictionary(pair => pair[0], pair => pair[1], StringComparer.Ordinal);

    /// <summary>Numbers of Latin-1 that Oniguruma takes for word characters, but not in a class.</summary>
    private static readonly CharacterSet WordNumbers = CharacterSet.Of(0xB2, 0xB3, 0xB9, 0xBC, 0xBD, 0xBE);

    public static CharacterSet Space => CharacterSet.OfProperty("space", Characters.IsWhiteSpace);

    public static CharacterSet Digit => Category("nd")!;

    public static CharacterSet HexDigit { get; } = CharacterSet.OfAny([new('0', '9'), new('A', 'F'), new('a', 'f')]);

    /// <summary>\w in a class.</summary>
    public static CharacterSet WordInClass => OfKind(CharacterKinds.Word);

    /// <summary>\w outside of a class, and what \b is the border of.</summary>
    public static CharacterSet WordCharacter { get; } = WordInClass.Or(WordNumbers);

    /// <summary>What [:name:] is in a class.</summary>
    public static CharacterSet? Posix(string name) => name switch
    {
        "alpha" => OfKind(CharacterKinds.Alphabetic),
        "upper" => OfKind(CharacterKinds.Uppercase),
        "lower" => OfKind(CharacterKinds.Lowercase),
        "word" => WordInClass,
        "digit" => Digit,
        "alnum" => OfKind(CharacterKinds.Alphabetic).Or(Digit),
        "punct" => Category("p")!.Or(Category("s")!),
        "space" => Space,
        "blank" => Category("zs")!.Or(CharacterSet.Of('\t')),
        "cntrl" => Category("cc"),
        "graph" => Visible,
        "print" => Visible.Or(Category("zs")!),
        "xdigit" => HexDigit,
        "ascii" => CharacterSet.Of(0, 0x7F),
        _ => null,
    };

    /// <summary>What \p{name} is; null where it is not known.</summary>
    public static CharacterSet? Property(string name, bool isInClass)
    {
        var plain = string.Concat(name.Where(letter => letter is not (' ' or '-' or '_')).Select(char.ToLowerInvariant));
        if (Category(LongCategories.GetValueOrDefault(plain, plain)) is { } category) { return category; }

        if (CharacterProperties.TryFindScript(plain, out var script)) { return CharacterSet.OfProperty($"script {plain}", scalar => CharacterProperties.ScriptOf(scalar) == script); }

        return plain switch
        {
            "any" => CharacterSet.All,
            "assigned" => Category("cn")!.Not(),
            "word" => isInClass ? WordInClass : WordCharacter,
            "alphabetic" => Posix("alpha"),
            "uppercase" => Posix("upper"),
            "lowercase" => Posix("lower"),
            "whitespace" => Space,
            _ => Posix(plain),
        };
    }

    private static CharacterSet Visible => Category("cc")!.Or(Category("cn")!).Or(CharacterSet.Of(0xD800, 0xDFFF)).Or(Space).Not();

    private static CharacterSet OfKind(CharacterKinds kind) => CharacterSet.OfProperty(kind.ToString(), scalar => (CharacterProperties.KindsOf(scalar) & kind) != 0);

    private static CharacterSet? Category(string name)
    {
        if (name == "lc") { return CharacterSet.OfProperty("lc", scalar => Characters.CategoryOf(scalar) is Unicode.Category.Lu or Unicode.Category.Ll or Unicode.Category.Lt); }

        var some = Enum.GetNames<Category>().Where(each => name.Length is 1 or 2 && each.StartsWith(name, StringComparison.OrdinalIgnoreCase)).Select(Enum.Parse<Category>).ToHashSet();
        return some.Count == 0 ? null : CharacterSet.OfProperty(name, scalar => some.Contains(Characters.CategoryOf(scalar)));
    }
}
