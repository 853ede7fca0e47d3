-- Which data keys are there, and under which certificate?
SELECT
    k.version,
    k.wrapped_key,
    k.certificate_thumbprint
FROM dbo.data_key AS k
ORDER BY k.version;
