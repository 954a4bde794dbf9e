using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Platform.SelfHost.Cli;

/// <summary>Where a command writes: results to standard output, as text or as one JSON value a line; everything else to standard error.</summary>
/// <param name="Json">Results as JSON; no progress.</param>
/// <param name="Colour">Only where a person looks.</param>
/// <param name="Live">A person looks at standard error, and a line there may be written anew.</param>
/// <param name="Verbose">Progress tells each stage, those of items too.</param>
/// <param name="Zone">Of moments in text; JSON has them in UTC.</param>
internal sealed record Terminal(TextWriter Out, TextWriter Error, bool Json, bool Colour, bool Live, bool Verbose, TimeZoneInfo Zone)
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly JsonSerializerOptions OneLine = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>https://no-color.org: a non-empty NO_COLOR switches colours off.</summary>
    public static Terminal Create(bool json, bool plain, bool verbose, bool utc)
    {
        Console.OutputEncoding = Encoding.UTF8;
        var able = Environment.GetEnvironmentVariable("TERM") is not (null or "" or "dumb");
        var colour = able && !plain && !json && !Console.IsOutputRedirected && !Console.IsErrorRedirected && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));
        return new Terminal(Console.Out, Console.Error, json, colour, able && !json && !Console.IsErrorRedirected, verbose, utc ? TimeZoneInfo.Utc : TimeZoneInfo.Local);
    }

    public void Line(string text = "") => Out.WriteLine(text);

    /// <summary>Progress and hints; not part of the result.</summary>
    public void Note(string text)
    {
        if (!Json) { Error.WriteLine(text); }
    }

    public void Fail(string code, string detail)
    {
        if (Json)
        {
            Error.WriteLine(new JsonObject { ["error"] = code, ["detail"] = detail }.ToJsonString(OneLine));
            return;
        }

        Error.WriteLine($"{Paint("error", Ink.Red)} {code}: {detail}");
    }

    /// <summary>The whole result, as one JSON value.</summary>
    public void Document(JsonNode value) => Out.WriteLine(value.ToJsonString(Indented));

    /// <summary>One of several results, as JSON on one line.</summary>
    public void Record(JsonNode value) => Out.WriteLine(value.ToJsonString(OneLine));

    /// <summary>A result that is a sentence: with <c>--json</c> the value instead.</summary>
    public void Say(string sentence, JsonObject value)
    {
        if (Json) { Document(value); }
        else { Line(sentence); }
    }

    public string Paint(string text, Ink ink) => Colour ? $"\e[{(int)ink}m{text}\e[0m" : text;

    /// <summary>To the second, with its zone: <c>2026-01-31 13:00:00+01:00</c>.</summary>
    public string Time(DateTimeOffset at) => Time(at, "yyyy-MM-dd HH:mm:ss");

    /// <summary>To the millisecond.</summary>
    public string Instant(DateTimeOffset at) => Time(at, "yyyy-MM-dd HH:mm:ss.fff");

    /// <summary>Rows under a head, as wide as needed; no row: nothing but the given sentence.</summary>
    public void Table(IReadOnlyList<string> head, IReadOnlyList<IReadOnlyList<string>> rows, string empty)
    {
        if (rows.Count == 0)
        {
            Line(empty);
            return;
        }

        var widths = head.Select((title, column) => Math.Max(Columns(title), rows.Max(row => Columns(row[column])))).ToArray();
        Line(Paint(Row(head, widths), Ink.Bold));
        foreach (var row in rows) { Line(Row(row, widths)); }
    }

    /// <summary>Text of others (names, messages, files) cannot steer the terminal: control characters are shown as escapes.</summary>
    public static string Safe(string text)
    {
        if (!text.Any(Steers)) { return text; }
        var safe = new StringBuilder(text.Length + 8);
        foreach (var c in text)
        {
            if (Steers(c)) { safe.Append($"\\u{(int)c:x4}"); }
            else { safe.Append(c); }
        }

        return safe.ToString();
    }

    /// <summary>How many columns a terminal gives it: two for wide characters (UAX #11: East Asian Wide and Fullwidth, emoji), none for combining ones.</summary>
    public static int Columns(string text)
    {
        var columns = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            columns += Rune.GetUnicodeCategory(rune) is UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark or UnicodeCategory.Format ? 0
                : IsWide(rune.Value) ? 2 : 1;
        }

        return columns;
    }

    /// <summary>Filled up with blanks to so many columns.</summary>
    public static string Pad(string text, int columns) => text + new string(' ', Math.Max(0, columns - Columns(text)));

    private static bool IsWide(int value) => value is
        (>= 0x1100 and <= 0x115f) or (>= 0x2e80 and <= 0x303e) or (>= 0x3041 and <= 0x33ff) or (>= 0x3400 and <= 0x4dbf) or (>= 0x4e00 and <= 0x9fff)
        or (>= 0xa000 and <= 0xa4cf) or (>= 0xac00 and <= 0xd7a3) or (>= 0xf900 and <= 0xfaff) or (>= 0xfe30 and <= 0xfe6f) or (>= 0xff00 and <= 0xff60)
        or (>= 0xffe0 and <= 0xffe6) or (>= 0x1f300 and <= 0x1f64f) or (>= 0x1f680 and <= 0x1f6ff) or (>= 0x1f900 and <= 0x1faff) or (>= 0x20000 and <= 0x3fffd);

    private string Time(DateTimeOffset at, string form)
    {
        var there = TimeZoneInfo.ConvertTime(at, Zone);
        return there.ToString(there.Offset == TimeSpan.Zero ? form + "'Z'" : form + "zzz", CultureInfo.InvariantCulture);
    }

    /// <summary>C0, C1, and Unicode's bidirectional controls.</summary>
    private static bool Steers(char c) => char.IsControl(c) || c is (>= '\u202a' and <= '\u202e') or (>= '\u2066' and <= '\u2069');

    private static string Row(IReadOnlyList<string> cells, int[] widths) =>
        string.Join("  ", cells.Select((cell, column) => column == cells.Count - 1 ? cell : Pad(cell, widths[column]))).TrimEnd();
}

/// <summary>SGR codes of ECMA-48.</summary>
internal enum Ink { Bold = 1, Dim = 2, Red = 31, Green = 32, Yellow = 33, Cyan = 36 }
