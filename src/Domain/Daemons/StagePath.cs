using System.Globalization;

namespace Platform.Domain.Daemons;

/// <summary>
/// Names one stage of one run: ids joined by <c>/</c>, an item of a foreach in brackets, the stages of a <c>fallback</c> or <c>on_error</c>
/// behind <c>$</c>: <c>each[3]/classify</c>, <c>draft$fallback/short</c>, <c>$finally/report</c>. Ids hold neither of these characters.
/// </summary>
public static class StagePath
{
    /// <summary>The block of the daemon's own stages.</summary>
    public const string Root = "";

    /// <summary>The block of the daemon's <c>on_error</c>.</summary>
    public const string DaemonOnError = "$on_error";

    /// <summary>The block of the daemon's <c>finally</c>.</summary>
    public const string DaemonFinally = "$finally";

    public static string Child(string block, string id) => block.Length == 0 ? id : $"{block}/{id}";

    public static string Item(string foreachPath, int index) => string.Create(CultureInfo.InvariantCulture, $"{foreachPath}[{index}]");

    public static string Fallback(string path) => path + "$fallback";

    public static string OnError(string path) => path + "$on_error";

    /// <summary>The list of stages that a stage stands in.</summary>
    public static string BlockOf(string path)
    {
        var at = path.LastIndexOf('/');
        return at < 0 ? Root : path[..at];
    }

    public static string IdOf(string path) => path[(path.LastIndexOf('/') + 1)..];

    /// <summary>The scope that a stage's names live in: the innermost item around it, or the daemon's own.</summary>
    public static string ScopeOf(string path)
    {
        var at = path.LastIndexOf("]/", StringComparison.Ordinal);
        return at < 0 ? Root : path[..(at + 1)];
    }

    /// <summary>Splits <c>each[3]</c> into the foreach and the item's number.</summary>
    public static (string Foreach, int Index) SplitItem(string itemPath)
    {
        var at = itemPath.LastIndexOf('[');
        return (itemPath[..at], int.Parse(itemPath.AsSpan(at + 1, itemPath.Length - at - 2), NumberStyles.None, CultureInfo.InvariantCulture));
    }

    /// <summary>Whether <paramref name="path"/> is this item or lies in it.</summary>
    public static bool IsWithin(string path, string itemPath) =>
        path.StartsWith(itemPath, StringComparison.Ordinal) && (path.Length == itemPath.Length || path[itemPath.Length] is '/' or '$');

    /// <summary>The enclosing scope of a scope that is not the daemon's own.</summary>
    public static string Enclosing(string scope) => ScopeOf(SplitItem(scope).Foreach);
}
