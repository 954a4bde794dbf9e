using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Platform.SelfHost.Cli;

/// <summary>Where a command writes: results to standard output, as text or as one JSON value a line; everything else to standard error.</summary>
/// <param name="Json">Results as JSON; no progress.</param>
/// <param name="Colour">Only where a person looks.</param>
internal sealed record Terminal(TextWriter Out, TextWriter Error, bool Json, bool Colour)
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly JsonSerializerOptions OneLine = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>https://no-color.org: a non-empty NO_COLOR switches colours off.</summary>
    public static Terminal Create(bool json, bool plain)
    {
        Console.OutputEncoding = Encoding.UTF8;
        var colour = !plain && !json && !Console.IsOutputRedirected
            && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"))
            && Environment.GetEnvironmentVariable("TERM") is not "dumb";
        return new Terminal(Console.Out, Console.Error, json, colour);
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

    public void Document(JsonNode value) => Out.WriteLine(value.ToJsonString(Indented));

    public void Record(JsonNode value) => Out.WriteLine(value.ToJsonString(OneLine));

    public string Paint(string text, Ink ink) => Colour ? $"\e[{(int)ink}m{text}\e[0m" : text;

    /// <summary>Rows under a head, as wide as needed; no row: nothing but the given sentence.</summary>
    public void Table(IReadOnlyList<string> head, IReadOnlyList<IReadOnlyList<string>> rows, string empty)
    {
        if (rows.Count == 0)
        {
            Line(empty);
            return;
        }

        var widths = head.Select((title, column) => Math.Max(title.Length, rows.Max(row => row[column].Length))).ToArray();
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

    /// <summary>C0, C1, and Unicode's bidirectional controls.</summary>
    private static bool Steers(char c) => char.IsControl(c) || c is (>= '\u202a' and <= '\u202e') or (>= '\u2066' and <= '\u2069');

    private static string Row(IReadOnlyList<string> cells, int[] widths) =>
        string.Join("  ", cells.Select((cell, column) => column == cells.Count - 1 ? cell : cell.PadRight(widths[column]))).TrimEnd();
}

/// <summary>SGR codes of ECMA-48.</summary>
internal enum Ink { Bold = 1, Dim = 2, Red = 31, Green = 32, Yellow = 33, Cyan = 36 }
