-- Which headlines begin with blanks, and how do they read without? (LTRIM)
SELECT
    id,
    headline,
    LTRIM(headline) AS tidy
FROM dbo.ad
WHERE headline <> LTRIM(headline)
ORDER BY id;
