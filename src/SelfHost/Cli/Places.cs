using System.Text.RegularExpressions;

namespace Platform.SelfHost.Cli;

/// <summary>Resources as people know them: a file by its path. The log has URIs.</summary>
internal static partial class Places
{
    /// <summary>A text in which <c>file:</c> URIs are paths again.</summary>
    public static string Readable(string text) => FileUri.Replace(text, found => Uri.UnescapeDataString(found.Groups[1].Value));

    // As they are recorded, with everything escaped that is not plain: a comma or a full stop after one is the sentence's.
    [GeneratedRegex(@"file://(/(?:[A-Za-z0-9_~!$&'()*+;=:@%/-]|[.,](?=[^\s.,]))*)", RegexOptions.CultureInvariant)]
    private static partial Regex FileUri { get; }
}
