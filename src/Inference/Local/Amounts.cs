using System.Globalization;
using System.Text.RegularExpressions;

namespace Platform.Inference.Local;

/// <param name="Currency">ISO 4217.</param>
internal readonly record struct Amount(decimal Value, string Currency)
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Value} {Currency}");
}

/// <summary>Finds amounts of money: a number beside a currency's sign, code or name.</summary>
internal static class Amounts
{
    private const RegexOptions Linear = RegexOptions.NonBacktracking | RegexOptions.CultureInvariant | RegexOptions.IgnoreCase;

    private const string Signs = @"US\$|C\$|A\$|R\$|€|\$|£|¥|₹|₺|₽|₩|zł";
    private const string Codes = "EUR|USD|GBP|JPY|CHF|CNY|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|RON|TRY|INR|BRL|MXN|KRW|ZAR|SGD|HKD|AED|ILS";
    private const string Names = "euros?|dollars?|d[óo]lares|pounds?|pond|francs?|Franken|yen|円|元|lei|złotych|kronor|kroner";
    private const string Number = @"[0-9]{1,3}(?:[.,'’ \u00a0\u202f][0-9]{3})+(?:[.,][0-9]{1,2})?|[0-9]{1,15}(?:[.,][0-9]{1,3})?";

    private static readonly Regex Written = new(
        $@"(?:(?<before>{Signs}|\b(?:{Codes}))[ \u00a0\u202f]?(?<minus1>[-−])?(?<number1>{Number})(?:,-|,--|\.-)?|(?<minus2>[-−])?\b(?<number2>{Number})[ \u00a0\u202f]?(?:(?<after>{Signs})|(?<word>{Codes}|{Names})\b))",
        Linear);

    public static List<Amount> In(string text, int most)
    {
        var found = new List<Amount>();
        var seen = new HashSet<Amount>();
        for (var match = Written.Match(text); match.Success && found.Count < most; match = match.NextMatch())
        {
            var number = match.Groups["number1"].Success ? match.Groups["number1"] : match.Groups["number2"];
            var currency = match.Groups["before"].Success ? match.Groups["before"] : match.Groups["after"].Success ? match.Groups["after"] : match.Groups["word"];
            if (!TryRead(number.Value, out var value)) { continue; }

            var negative = match.Groups["minus1"].Success || match.Groups["minus2"].Success;
            var amount = new Amount(negative ? -value : value, CurrencyOf(currency.Value));
            if (seen.Add(amount)) { found.Add(amount); }
        }

        return found;
    }

    /// <summary>The last separator is the decimal one, unless three digits follow it: 1.250 and 1,250 are thousands.</summary>
    private static bool TryRead(string written, out decimal value)
    {
        var last = written.LastIndexOfAny(['.', ',']);
        var cents = last >= 0 && written.Length - last - 1 is 1 or 2;
        var whole = string.Concat((cents ? written[..last] : written).Where(char.IsAsciiDigit));
        return decimal.TryParse(cents ? $"{whole}.{written[(last + 1)..]}" : whole, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out value);
    }

    private static string CurrencyOf(string written) => Words.Fold(written) switch
    {
        "€" or "euro" or "euros" => "EUR",
        "$" or "us$" or "dollar" or "dollars" or "dolares" => "USD",
        "c$" => "CAD",
        "a$" => "AUD",
        "r$" => "BRL",
        "£" or "pound" or "pounds" or "pond" => "GBP",
        "¥" or "yen" or "円" => "JPY",
        "元" => "CNY",
        "₹" => "INR",
        "₺" => "TRY",
        "₽" => "RUB",
        "₩" => "KRW",
        "zl" or "zlotych" => "PLN",
        "franc" or "francs" or "franken" => "CHF",
        "lei" => "RON",
        "kronor" => "SEK",
        "kroner" => "NOK",
        var code => code.ToUpperInvariant(),
    };
}
